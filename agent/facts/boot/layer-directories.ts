/** The directories of the overlays, for the agent, and for the boot, which mounts them. */

export const upperDirectory = '/run/var/upper';

export interface LayerDirectories {
  lower: string;
  upper: string;
  work: string;
}

/**
 * Returns the directories of the overlay on a target. In names, "+" replaces "/", so "+" itself is encoded: otherwise /a/b and
 * /a+b would share an upper layer.
 */
export function directoriesOf(target: string): LayerDirectories {
  if (target === '/var')
    return { lower: '/run/immutafs/lower', upper: upperDirectory, work: '/run/var/work' };
  const name = target.slice(1).replaceAll('+', '%2b').replaceAll('/', '+');
  const below = `/run/var/below/${name}`;
  return { lower: `/run/immutafs/below/${name}`, upper: `${below}/upper`, work: `${below}/work` };
}
