import type { BootEnv } from './boot-env.ts';

/** The upper layer of /var. */
export const upperFolder = '/run/var/upper';

/** The folders of the overlay that dracut/assemble-var mounts on a target, and the state that boot.env records. */
export interface Layer {
  target: string;
  /** `overlay`, `failed`, `begun`, …; empty if boot.env does not exist. */
  state: string;
  lower: string;
  upper: string;
  work: string;
}

/**
 * /var first, then the targets below /var of late boot. The last line of a target takes effect.
 * @param bootEnv undefined if the boot left none: /var is listed with an empty state
 */
export function layersOf(bootEnv: BootEnv | undefined): Layer[] {
  const states = new Map([['/var', bootEnv?.var ?? '']]);
  for (const line of bootEnv?.layers ?? []) {
    const [, target = '', state = ''] = /^(\/.*) (\S+)$/.exec(line) ?? [];
    if (target !== '') states.set(target, state);
  }
  return [...states].map(([target, state]) => ({ target, state, ...foldersOf(target) }));
}

/** assemble() in dracut/assemble-var. */
function foldersOf(target: string): Omit<Layer, 'target' | 'state'> {
  if (target === '/var') return { lower: '/run/immutafs/lower', upper: upperFolder, work: '/run/var/work' };
  const name = target.slice(1).replaceAll('/', '+');
  const below = `/run/var/below/${name}`;
  return { lower: `/run/immutafs/below/${name}`, upper: `${below}/upper`, work: `${below}/work` };
}
