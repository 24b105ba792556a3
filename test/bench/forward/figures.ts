import type { Figure } from '../table.ts';
import { type Latency, idleSeconds } from './latency.ts';
import type { Run } from './run.ts';
import type { Measured } from './measure.ts';

/** The agent and a competitor that sends to the same receiver. */
interface Pair {
  ours: string;
  rival: string;
  /** Whether the runs with many entries are compared, in which the start of the programs counts little. */
  many?: true;
  /** The targets for entries per second and for CPU time. */
  speed?: Figure['aim'];
  processor?: Figure['aim'];
}

const less = { of: 'ratio', atMost: 1 } as const;

const pairs: Pair[] = [
  {
    ...{ ours: 'agent, RELP', rival: 'rsyslog, RELP' },
    ...{ speed: { of: 'ratio', atLeast: 1.5 }, processor: less },
  },
  { ours: 'agent, RELP', rival: 'rsyslog, RELP, window 1000', processor: less },
  { ours: 'agent, TCP', rival: 'rsyslog, TCP', processor: less },
  { ours: 'agent, TCP', rival: 'syslog-ng, TCP', speed: { of: 'ratio', atLeast: 1 } },
  {
    ...{ ours: 'agent, upload', rival: 'journal-upload', many: true },
    ...{ speed: { of: 'ratio', atLeast: 1 }, processor: { of: 'ratio', atMost: 1.5 } },
  },
];

export function figures(measured: Measured): Figure[] {
  return [
    ...pairs.flatMap((pair) => compare(pair, measured)),
    ...Object.entries(measured.many)
      .filter(([name]) => name.startsWith('agent, '))
      .flatMap(([name, many]) => flat(name, measured.whole[name], many)),
    ...latencyFigures("journald's entries", measured.latency.journald, { of: 'difference', atMost: 100 }),
    ...latencyFigures("systemd-journal-remote's entries", measured.latency.remote, {
      of: 'value',
      atMost: 100,
    }),
  ];
}

function compare({ ours, rival, many, speed, processor }: Pair, measured: Measured): Figure[] {
  const { killed } = measured;
  const compared = many ? measured.many : measured.whole;
  const figure = (
    name: string,
    unit: Figure['unit'],
    of: (run: Run) => number,
    { runs = compared, ...more }: { runs?: Measured['whole']; aim?: Figure['aim'] } = {},
  ): Figure => ({
    ...{ name: `${ours} / ${rival}: ${name}`, unit, ...more },
    value: of(found(runs, ours)),
    control: of(found(runs, rival)),
  });
  return [
    figure('entries', '/s', rate, { aim: speed }),
    figure('processor time of an entry', 'µs', processorTime, { aim: processor }),
    figure('of that, child processes', 'µs', childTime),
    figure('peak RSS', 'MiB', ({ mebibytes }) => mebibytes),
    figure('entries lost by a kill', '', ({ lost }) => lost, {
      ...{ runs: killed, aim: { of: 'value', atMost: 0 } },
    }),
    figure('entries repeated after a kill', '', ({ repeated }) => repeated, { runs: killed }),
  ];
}

function flat(name: string, few: Run | undefined, many: Run): Figure[] {
  if (few === undefined) throw new Error(`${name} was not measured`);
  const at = `${name}, ${many.count} entries / ${few.count}`;
  const memory = { unit: 'MiB', value: many.mebibytes } as const;
  return [
    { name: `${at}: entries`, unit: '/s', value: rate(many), control: rate(few) },
    {
      name: `${at}: processor time of an entry`,
      unit: 'µs',
      ...{ value: processorTime(many), control: processorTime(few) },
    },
    { name: `${at}: peak RSS`, ...memory, aim: { of: 'value', atMost: 100 } },
    {
      name: `${at}: peak RSS, more`,
      ...memory,
      control: few.mebibytes,
      aim: { of: 'difference', atMost: 10 },
    },
  ];
}

function latencyFigures(
  what: string,
  { acknowledged, journalctl, idle }: Latency,
  aim: Figure['aim'],
): Figure[] {
  return [
    {
      name: `100 of ${what} a second / journalctl -f: 99th percentile`,
      ...{ unit: 'ms', value: acknowledged, control: journalctl, aim },
    },
    {
      name: `then ${idleSeconds} s idle: processor time`,
      ...{ unit: 'ms', value: idle, aim: { of: 'value', atMost: 10 } },
    },
  ];
}

function found(runs: Measured['whole'], name: string): Run {
  const run = runs[name];
  if (run === undefined) throw new Error(`${name} was not measured`);
  return run;
}

function rate({ count, wall }: Run): number {
  return count / wall;
}

function processorTime({ seconds, count }: Run): number {
  return (1e6 * seconds) / count;
}

function childTime({ childSeconds, count }: Run): number {
  return (1e6 * childSeconds) / count;
}
