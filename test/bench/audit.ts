import fs from 'node:fs';
import { inRoot } from '../../packaging/build/paths.ts';
import { buildPrograms } from './programs.ts';
import type { Result } from './run.ts';
import { type Series, inRuntime } from './series-in-runtime.ts';
import { type Figure, median } from './table.ts';
import { unpack } from '../harness/unpack.ts';

/** Compares `status` and `check` with other programs that audit file systems, on this machine. Verdicts are ignored. */
export async function audit(): Promise<Result> {
  const { agent, empty } = await buildPrograms();
  const names = ['empty', 'status', 'check', 'goss', 'lynis'] as const;
  const small = await inRuntime([[empty], [agent, 'status'], [agent, 'check'], goss()]);
  // lynis is not interleaved with the other programs, because its thousands of processes leave the caches cold.
  const measured = [...small, ...(await inRuntime([lynis()]))];
  const of = Object.fromEntries(names.map((name, index) => [name, measured[index]])) as Record<
    (typeof names)[number],
    Series
  >;
  return {
    about:
      'medians of interleaved runs on this machine; goss validate with the same assertions (goss.yaml), lynis with its\n' +
      'tests of file systems. The aim: below goss, or the bare start of the runtime and 10 ms.',
    control: 'rival',
    figures: [
      ...(['status', 'check'] as const).flatMap((command) => [
        wall(command, 'empty', of, { of: 'difference', atMost: 10 }),
        ...((['goss', 'lynis'] as const).flatMap((rival) => [
          wall(command, rival, of),
          processor(command, rival, of),
          memory(command, rival, of),
          {
            name: `${command} / ${rival}: processes`,
            unit: '',
            value: of[command].processes,
            control: of[rival].processes,
          },
        ]) satisfies Figure[]),
      ]),
    ],
  };
}

type Measured = Record<string, Series | undefined>;

function wall(ours: string, rival: string, of: Measured, aim?: Figure['aim']): Figure {
  const time = (name: string) => median(of[name]?.milliseconds ?? []);
  const figure: Figure = {
    name: `${ours} / ${rival}: wall time`,
    unit: 'ms',
    value: time(ours),
    control: time(rival),
  };
  return aim === undefined ? figure : { ...figure, aim };
}

/** Compares the mean CPU times, because a run takes only a few milliseconds and bash rounds to milliseconds. */
function processor(ours: string, rival: string, of: Measured): Figure {
  const time = (name: string) => mean(of[name]?.processor ?? []);
  return { name: `${ours} / ${rival}: processor time`, unit: 'ms', value: time(ours), control: time(rival) };
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function memory(ours: string, rival: string, of: Measured): Figure {
  const peak = (name: string) => median(of[name]?.kibibytes ?? []) / 1024;
  return { name: `${ours} / ${rival}: peak RSS`, unit: 'MiB', value: peak(ours), control: peak(rival) };
}

function goss(): string[] {
  return [
    `${unpack('goss', ['goss'])}/usr/bin/goss`,
    '--gossfile',
    inRoot('test/bench/goss.yaml'),
    'validate',
  ];
}

/** Returns the command of lynis, which searches for its files in the working directory if it is not installed. */
function lynis(): string[] {
  const folder = unpack('lynis', ['lynis']);
  const share = `${folder}/usr/share/lynis`;
  fs.copyFileSync(`${folder}/etc/lynis/default.prf`, `${share}/default.prf`);
  fs.mkdirSync(`${share}/plugins`, { recursive: true });
  const options = ['--tests-from-group', 'filesystems', '--quick', '--no-colors', '--no-log'];
  const report = ['--report-file', `${folder}/report`];
  return ['env', `--chdir=${share}`, `${folder}/usr/sbin/lynis`, 'audit', 'system', ...options, ...report];
}
