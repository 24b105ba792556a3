import type { BootEnv } from './boot-env.ts';

/** The directory of the upper layer of /var. */
export const upperDirectory = '/run/var/upper';

/** The directories of the overlay that dracut/assemble-var mounts on a target, and the state that boot.env records. */
export interface Layer {
  target: string;
  /** `overlay`, `failed`, `begun` or another state in boot.env; empty if boot.env does not exist. */
  state: string;
  lower: string;
  upper: string;
  work: string;
}

/**
 * Lists the overlays that boot.env records: the one on /var first, then those on the targets below /var. If boot.env
 * has several lines for a target, the last line takes effect.
 * @param bootEnv undefined if boot.env does not exist; /var is then listed with an empty state
 */
export function layersOf(bootEnv: BootEnv | undefined): Layer[] {
  const states = new Map([['/var', bootEnv?.var ?? '']]);
  for (const line of bootEnv?.layers ?? []) {
    const [, target = '', state = ''] = /^(\/.*) (\S+)$/.exec(line) ?? [];
    if (target !== '') states.set(target, state);
  }
  return [...states].map(([target, state]) => ({ target, state, ...directoriesOf(target) }));
}

/** Returns the directories that assemble() in boot/layers.sh uses for a target. */
export function directoriesOf(target: string): Omit<Layer, 'target' | 'state'> {
  if (target === '/var')
    return { lower: '/run/immutafs/lower', upper: upperDirectory, work: '/run/var/work' };
  const name = target.slice(1).replaceAll('+', '%2b').replaceAll('/', '+');
  const below = `/run/var/below/${name}`;
  return { lower: `/run/immutafs/below/${name}`, upper: `${below}/upper`, work: `${below}/work` };
}
