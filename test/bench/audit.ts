import fs from 'node:fs';
import { inRoot } from '../../packaging/build/paths.ts';
import { buildPrograms, inRuntime, seriesOf } from './programs.ts';
import type { Result } from './run.ts';
import type { Series } from './series.ts';
import { type Figure, figure, median } from './table.ts';
import { unpack } from '../harness/unpack.ts';

/** Compares `status` and `check` with other programs that audit file systems, on this machine. Verdicts are ignored. */
export async function audit(): Promise<Result> {
  const { agent, empty } = await buildPrograms();
  // lynis is not interleaved with the other programs, because its thousands of processes leave the caches cold.
  const small = [[empty], [agent, 'status'], [agent, 'check'], goss()];
  const [bare, ...ours] = await inRuntime<[Series, Series, Series, Series]>(seriesOf(small));
  const [slow] = await inRuntime<[Series]>(seriesOf([lynis()]));
  const [statusSeries, checkSeries, gossSeries] = ours;
  const commands = { status: statusSeries, check: checkSeries };
  const rivals = { goss: gossSeries, lynis: slow };
  return {
    about:
      'medians of interleaved runs on this machine; goss validate with the same assertions (goss.yaml), lynis with its\n' +
      'tests of file systems. The aim: below goss, or the bare start of the runtime and 10 ms.',
    control: 'rival',
    figures: Object.entries(commands).flatMap(([command, series]) => [
      wall(`${command} / empty`, series, bare, { of: 'difference', atMost: 10 }),
      ...Object.entries(rivals).flatMap(([rival, other]) => compared(`${command} / ${rival}`, series, other)),
    ]),
  };
}

function compared(name: string, ours: Series, rival: Series): Figure[] {
  const peak = ({ kibibytes }: Series) => median(kibibytes) / 1024;
  return [
    wall(name, ours, rival),
    // The mean, because a run takes only a few milliseconds and bash rounds to milliseconds.
    figure(`${name}: processor time`, 'ms', mean(ours.processor), mean(rival.processor)),
    figure(`${name}: peak RSS`, 'MiB', peak(ours), peak(rival)),
    figure(`${name}: processes`, '', ours.processes, rival.processes),
  ];
}

function wall(name: string, ours: Series, rival: Series, aim?: Figure['aim']): Figure {
  return figure(`${name}: wall time`, 'ms', median(ours.milliseconds), median(rival.milliseconds), aim);
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
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
