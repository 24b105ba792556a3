import { inRoot } from '../../packaging/build/paths.ts';
import { type Latency, idleSeconds } from './forward/latency.ts';
import type { Measured, MeasuredFiles, Plan } from './forward/measure.ts';
import type { Run } from './forward/run.ts';
import { buildPrograms, inRuntime } from './programs.ts';
import type { Result } from './run.ts';
import { type Figure, figure } from './table.ts';
import { unpack } from '../harness/unpack.ts';

/** The number of entries per sender. In a second run, the agent and journal-upload forward five times as many. */
const entries = Number(process.env['BENCH_ENTRIES'] ?? 200_000);
const many = 5 * entries;
const lines = Number(process.env['BENCH_LINES'] ?? 1_000_000);
const idleFiles = 50;

/** Compares the forwarder with other programs that send the journal to a log server, each with the same receiver. */
export async function forward(): Promise<Result> {
  const { agent } = await buildPrograms();
  // The packages of syslog-ng and rsyslog conflict, and the tests need rsyslog.
  const syslogNg = unpack('syslog-ng', ['syslog-ng-core', 'libivykis0t64', 'libnet1', 'libwrap0']);
  const measured = (await measure({ of: 'journal', agent, syslogNg, entries, many })) as Measured;
  const busy = Object.entries(measured.whole).map(
    ([name, { wall, receiverSeconds }]) => `${name} ${((100 * receiverSeconds) / wall).toFixed(0)} %`,
  );
  const { figures } = await forwardFiles();
  return {
    about:
      `${entries} entries of 800 bytes in the export format (${many} to compare uploads); for each sender one complete\n` +
      'run and one with a SIGKILL half-way. Processor time includes child processes; rate limits are switched off.\n' +
      'Latency: journald notifies readers only every 250 ms, systemd-journal-remote of each entry.\n' +
      // Shows whether a receiver is the bottleneck.
      `The receivers' processor time, as a share of the elapsed time: ${busy.join('; ')}`,
    control: 'rival',
    figures: [...journalFigures(measured), ...figures],
  };
}

/** Compares the forwarder with rsyslog's imfile, which send the same log file to the same receiver. */
export async function forwardFiles(): Promise<Result> {
  const { agent } = await buildPrograms();
  const measured = await measure({ of: 'files', agent, lines, entries: lines / 5, idleFiles });
  return {
    about: `${lines} records of the audit trail in one log file; processor time as for forward.`,
    control: 'rival',
    figures: fileFigures(measured as MeasuredFiles),
  };
}

function measure(plan: Plan): Promise<unknown> {
  const command = [process.execPath, inRoot('test/bench/forward/measure.ts')];
  return inRuntime(command, { BENCH_PLAN: JSON.stringify(plan) });
}

type Aim = Figure['aim'];
const less = { of: 'ratio', atMost: 1 } as const;
const faster = (atLeast: number) => ({ of: 'ratio', atLeast }) as const;

/** The agent, a competitor with the same receiver, and the targets for entries per second and for processor time. */
const pairs: [ours: string, rival: string, speed?: Aim, processor?: Aim][] = [
  ['agent, RELP', 'rsyslog, RELP', faster(1.5), less],
  ['agent, RELP', 'rsyslog, RELP, window 1000', undefined, less],
  ['agent, TCP', 'rsyslog, TCP', undefined, less],
  ['agent, TCP', 'syslog-ng, TCP', faster(1)],
  // With many entries, the start of the programs counts little.
  ['agent, upload', 'journal-upload', faster(1), { of: 'ratio', atMost: 1.5 }],
];

function journalFigures({ whole, killed, many: long, latency }: Measured): Figure[] {
  return [
    ...pairs.flatMap(([ours, rival, speed, processor]) => {
      const runs = rival === 'journal-upload' ? long : whole;
      const [one, other] = [found(runs, ours), found(runs, rival)];
      const [crashed, crashedRival] = [found(killed, ours), found(killed, rival)];
      return [
        ...compared(`${ours} / ${rival}`, 'entries', one, other, speed, processor),
        figure(`${ours} / ${rival}: of that, child processes`, 'µs', childTime(one), childTime(other)),
        figure(`${ours} / ${rival}: peak RSS`, 'MiB', one.mebibytes, other.mebibytes),
        figure(`${ours} / ${rival}: entries lost by a kill`, '', crashed.lost, crashedRival.lost, {
          of: 'value',
          atMost: 0,
        }),
        figure(
          `${ours} / ${rival}: entries repeated after a kill`,
          '',
          crashed.repeated,
          crashedRival.repeated,
        ),
      ];
    }),
    ...Object.entries(long)
      .filter(([name]) => name.startsWith('agent, '))
      .flatMap(([name, run]) => {
        const few = found(whole, name);
        const at = `${name}, ${run.count} entries / ${few.count}`;
        return [
          ...compared(at, 'entries', run, few),
          figure(`${at}: peak RSS`, 'MiB', run.mebibytes, undefined, { of: 'value', atMost: 100 }),
          figure(`${at}: peak RSS, more`, 'MiB', run.mebibytes, few.mebibytes, {
            of: 'difference',
            atMost: 10,
          }),
        ];
      }),
    ...latencyFigures("journald's entries", latency.journald, { of: 'difference', atMost: 100 }),
    ...latencyFigures("systemd-journal-remote's entries", latency.remote, { of: 'value', atMost: 100 }),
  ];
}

function latencyFigures(what: string, { acknowledged, journalctl, idle }: Latency, aim: Aim): Figure[] {
  const name = `100 of ${what} a second / journalctl -f: 99th percentile`;
  return [
    figure(name, 'ms', acknowledged, journalctl, aim),
    figure(`then ${idleSeconds} s idle: processor time`, 'ms', idle, undefined, { of: 'value', atMost: 10 }),
  ];
}

function fileFigures({ lines: runs, journal, journalAndFile, idle }: MeasuredFiles): Figure[] {
  const [relp, tcp] = [found(runs, 'agent, RELP'), found(runs, 'agent, TCP')];
  return [
    ...['imfile, RELP', 'imfile, RELP, window 1000'].flatMap((rival) =>
      compared(`log file: agent, RELP / ${rival}`, 'lines', relp, found(runs, rival), faster(1)),
    ),
    ...compared('log file: agent, TCP', 'lines', tcp, undefined, { of: 'value', atLeast: 150_000 }),
    figure('log file: lines lost', '', relp.lost + tcp.lost, undefined, { of: 'value', atMost: 0 }),
    figure(
      ...(['journal and log file / journal: peak RSS', 'MiB', journalAndFile.mebibytes] as const),
      ...([journal.mebibytes, { of: 'difference', atMost: 5 }] as const),
    ),
    figure(
      `${idleFiles} log files / none, ${idleSeconds} s idle: processor time`,
      ...(['ms', idle.files, idle.none] as const),
    ),
  ];
}

function found(runs: Record<string, Run>, name: string): Run {
  const run = runs[name];
  if (run === undefined) throw new Error(`${name} was not measured`);
  return run;
}

/** The entries or lines per second, and the processor time of one of them. */
function compared(name: string, what: string, one: Run, other?: Run, speed?: Aim, processor?: Aim): Figure[] {
  const rate = ({ count, wall }: Run) => count / wall;
  const time = ({ count, seconds }: Run) => (1e6 * seconds) / count;
  const each = what === 'lines' ? 'a line' : 'an entry';
  return [
    figure(`${name}: ${what}`, '/s', rate(one), other && rate(other), speed),
    figure(`${name}: processor time of ${each}`, 'µs', time(one), other && time(other), processor),
  ];
}

function childTime({ childSeconds, count }: Run): number {
  return (1e6 * childSeconds) / count;
}
