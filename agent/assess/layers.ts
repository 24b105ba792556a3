import type { BootEnv } from '../facts/boot/boot-env.ts';

/** The upper layer of /var. */
export const upperFolder = '/run/var/upper';

/** Where dracut/assemble-var puts the layers of a target, and what became of it. */
export interface Layer {
  target: string;
  state: string;
  lower: string;
  upper: string;
  work: string;
}

/** /var, and what late boot did below it; the last word of a target counts. */
export function layersOf(handoff: BootEnv | undefined): Layer[] {
  const states = new Map([['/var', handoff?.var ?? '']]);
  for (const line of handoff?.layers ?? []) {
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
