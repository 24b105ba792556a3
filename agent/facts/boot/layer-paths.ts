/** Where the layers of the overlays are, for the agent and for the boot, which mounts them (boot/initramfs/layers.ts). */

/** The tmpfs with the upper layers. */
export const layersTmpfs = '/run/var';

export const upperDirectory = `${layersTmpfs}/upper`;

/** The mount of the root file system below which the lower layers of OVERLAY are. */
export const rootView = '/run/immutafs/root';

export interface LayerDirectories {
  lower: string;
  upper: string;
  work: string;
}

/**
 * Returns the directories of the overlay on a path. In names, "+" replaces "/", so "+" itself is encoded: otherwise /a/b and /a+b
 * would share an upper layer.
 */
export function directoriesOf(target: string): LayerDirectories {
  if (target === '/var')
    return { lower: '/run/immutafs/lower', upper: upperDirectory, work: `${layersTmpfs}/work` };
  const name = target.slice(1).replaceAll('+', '%2b').replaceAll('/', '+');
  const below = `${layersTmpfs}/below/${name}`;
  return { lower: `/run/immutafs/below/${name}`, upper: `${below}/upper`, work: `${below}/work` };
}
