import { execa } from 'execa';
import { inRoot } from '../../packaging/build/paths.ts';
import { idleSeconds } from './forward/latency.ts';
import type { FilePlan, MeasuredFiles } from './forward/measure-files.ts';
import type { Run } from './forward/run.ts';
import { buildPrograms } from './programs.ts';
import type { Result } from './run.ts';
import type { Figure } from './table.ts';

const lines = Number(process.env['BENCH_LINES'] ?? 1_000_000);
const idleFiles = 50;

/** Compares the forwarder with rsyslog's imfile, which send the same log file to the same receiver. */
export async function forwardFiles(): Promise<Result> {
  const { agent } = await buildPrograms();
  return {
    about: `${lines} records of the audit trail in one log file; processor time as for forward.`,
    control: 'rival',
    figures: await fileFigures(agent),
  };
}

/** @param agent the agent as shipped */
export async function fileFigures(agent: string): Promise<Figure[]> {
  const plan: FilePlan = { agent, lines, entries: lines / 5, idleFiles };
  const { stdout } = await execa(
    'sh',
    [inRoot('packaging/build/run-dist.sh'), process.execPath, inRoot('test/bench/forward/measure-files.ts')],
    { env: { BENCH_PLAN: JSON.stringify(plan) }, stderr: 'inherit' },
  );
  return figures(JSON.parse(stdout) as MeasuredFiles);
}

function figures({ lines: runs, journal, journalAndFile, idle }: MeasuredFiles): Figure[] {
  const found = (name: string): Run => {
    const run = runs[name];
    if (run === undefined) throw new Error(`${name} was not measured`);
    return run;
  };
  const rate = ({ count, wall }: Run) => count / wall;
  const processor = ({ seconds, count }: Run) => (1e6 * seconds) / count;
  const [relp, tcp] = [found('agent, RELP'), found('agent, TCP')];
  return [
    ...['imfile, RELP', 'imfile, RELP, window 1000'].flatMap((rival): Figure[] => [
      {
        ...{ name: `log file: agent, RELP / ${rival}: lines`, unit: '/s', value: rate(relp) },
        ...{ control: rate(found(rival)), aim: { of: 'ratio', atLeast: 1 } },
      },
      {
        ...{ name: `log file: agent, RELP / ${rival}: processor time of a line`, unit: 'µs' },
        ...{ value: processor(relp), control: processor(found(rival)) },
      },
    ]),
    {
      ...{ name: 'log file: agent, TCP: lines', unit: '/s', value: rate(tcp) },
      aim: { of: 'value', atLeast: 150_000 },
    },
    { name: 'log file: agent, TCP: processor time of a line', unit: 'µs', value: processor(tcp) },
    {
      ...{ name: 'log file: lines lost', unit: '', value: relp.lost + tcp.lost },
      aim: { of: 'value', atMost: 0 },
    },
    {
      ...{ name: 'journal and log file / journal: peak RSS', unit: 'MiB', value: journalAndFile.mebibytes },
      ...{ control: journal.mebibytes, aim: { of: 'difference', atMost: 5 } },
    },
    {
      ...{ name: `${idleFiles} log files / none, ${idleSeconds} s idle: processor time`, unit: 'ms' },
      ...{ value: idle.files, control: idle.none },
    },
  ];
}
