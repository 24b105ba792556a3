import { inRoot } from '../../packaging/build/paths.ts';
import { buildPrograms, inRuntime } from './programs.ts';
import type { Result } from './run.ts';
import { figure } from './table.ts';

const [many, few] = [200_000, 20_000];

/** Compares `immutafs-agent changes`, as shipped, with programs that read both trees, and measures it with many changes. */
export async function changes(): Promise<Result> {
  const { agent } = await buildPrograms();
  const { found, naiveFound, ...seconds } = await measure<Compared>('compare', agent);
  if (found !== naiveFound)
    throw new Error(`changes found ${found} changes, reading both trees ${naiveFound}`);
  const onDisk = await measure<Elapsed>('disk', agent);
  const all = await measure<Streamed>('stream', agent, String(many));
  const some = await measure<Streamed>('stream', agent, String(few));
  return {
    about:
      `1,000 changed files over 100,000, and ${many} added files; the layers in tmpfs; processor time, except of the\n` +
      'first output. On a disk: elapsed time, the lower layer on an XFS file system that was just mounted.',
    control: 'diff -rq, hashing both trees, or few',
    figures: [
      figure('1,000 of 100,000: against diff -rq', 's', seconds.changes, seconds.diff, {
        of: 'ratio',
        atMost: 0.1,
      }),
      // What the start of the program takes bounds the ratio above.
      figure('no change: against diff -rq', 's', seconds.start, seconds.diff),
      figure('1,000 of 100,000: against hashing both trees', 's', seconds.changes, seconds.naive, {
        of: 'ratio',
        atMost: 0.1,
      }),
      ...(['diff', 'naive'] as const).map((rival) =>
        figure(
          `1,000 of 100,000 on a disk: against ${rival === 'diff' ? 'diff -rq' : 'hashing both trees'}`,
          's',
          onDisk.changes,
          onDisk[rival],
          { of: 'ratio', atMost: 0.1 },
        ),
      ),
      figure(`${many} added: first output of --json`, 's', all.json.first, some.json.first, {
        of: 'value',
        atMost: 1,
      }),
      figure(`${many} added: --json`, 's', all.json.processor, some.json.processor),
      figure(`${many} added: default view`, 's', all.text.processor, some.text.processor),
      ...(['json', 'text'] as const).map((view) =>
        figure(
          `${many} added: peak RSS, ${view}`,
          'MiB',
          all[view].kibibytes / 1024,
          some[view].kibibytes / 1024,
          { of: 'ratio', atMost: 1.25 },
        ),
      ),
    ],
  };
}

interface Elapsed {
  changes: number;
  diff: number;
  naive: number;
}

interface Compared extends Elapsed {
  found: number;
  naiveFound: number;
  /** Without any change, which is the time to start the program. */
  start: number;
}

type Streamed = Record<'json' | 'text', { first: number; processor: number; kibibytes: number }>;

function measure<T>(...args: string[]): Promise<T> {
  return inRuntime(['python3', inRoot('test/bench/changed-files.py'), ...args]);
}
