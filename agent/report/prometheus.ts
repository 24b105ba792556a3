import type { Status } from '../checks/check.ts';
import { labelValue } from '../lib/unprintable.ts';
import type { Report } from './report.ts';

/**
 * The report in Prometheus' text format, for node_exporter's textfile collector. Which of several states holds is
 * a sample of 1 among samples of 0, as in OpenMetrics' state sets: a series does not vanish when a state ends.
 */
export function formatPrometheus(report: Report): string {
  return [
    ...describeReport(report),
    ...describeChecks(report),
    ...describeLayer(report),
    ...describeForward(report),
  ]
    .map(family)
    .join('');
}

interface Family {
  name: string;
  help: string;
  samples: { labels: Record<string, string>; value: number }[];
}

function describeReport(report: Report): Family[] {
  const { agent, host, at, boot, disks, footholds, impostors } = report;
  const info = { version: agent.version, boot_id: host.bootId, kernel: host.kernel };
  return [
    gauge('agent_info', 'The agent and the boot that it looked at.', [[info, 1]]),
    states('verdict', 'What follows from all checks.', verdicts, report.verdict),
    states('mode', 'What this boot is meant to be.', ['sealed', 'maintenance', 'off'], report.mode),
    states('enforcement', "Who keeps the system's disks read-only.", enforcements, report.enforcement),
    gauge('report_timestamp_seconds', 'When the guest was looked at.', [[{}, Date.parse(at) / 1000]]),
    gauge(
      'boot_evidence_timestamp_seconds',
      "When the boot left what is only the boot's word.",
      boot === null ? [] : [[{}, Date.parse(boot.at) / 1000]],
    ),
    gauge(
      'disk_host_read_only',
      'Whether the host made a disk read-only, by its own word.',
      disks.map(({ name, bus, hostReadOnly }) => [{ disk: name, bus }, Number(hostReadOnly === true)]),
    ),
    gauge(
      'impostors',
      "Devices that carry an identity of a sealed disk's device and are not on a sealed disk.",
      [[{}, new Set(impostors.map(({ device }) => device)).size]],
    ),
    gauge('footholds', 'Mounts that are writable and executable, or writable and outlive a reboot.', [
      [{}, footholds.length],
    ]),
  ];
}

const verdicts = ['sealed', 'failed', 'maintenance', 'off', 'unknown'];
const enforcements = ['host', 'guest', 'partial', 'none'];
const statuses: readonly Status[] = ['pass', 'fail', 'warn', 'skip', 'error'];

function describeChecks({ checks }: Report): Family[] {
  const samples = checks.flatMap(({ id, severity, status }) =>
    statuses.map((each): Sample => [{ check: id, severity, status: each }, Number(each === status)]),
  );
  return [gauge('check_status', 'What each check says.', samples)];
}

/** Absent where /var is no overlay. */
function describeLayer({ var: layer }: Report): Family[] {
  const one = (value: number | null): Sample[] => (value === null ? [] : [[{}, value]]);
  return [
    gauge('var_size_bytes', 'What the upper layer of /var may take.', one(layer.sizeBytes)),
    gauge('var_used_bytes', 'What it takes.', one(layer.usedBytes)),
    gauge('var_inodes', 'How many inodes it may have.', one(layer.inodes)),
    gauge('var_inodes_used', 'How many it has.', one(layer.inodesUsed)),
  ];
}

const outcomes = ['acknowledged', 'repeated', 'lost', 'corrupt', 'refused', 'cut', 'suppressed'] as const;
const connections = ['connecting', 'connected', 'waiting', 'stopped'];

/** Absent where the forwarder has not run. */
function describeForward({ forward }: Report): Family[] {
  if (forward === null) return [];
  const { target, state, since, lastAckAt, lag } = forward;
  const one = (value: number | null): Sample[] => (value === null ? [] : [[{}, value]]);
  return [
    gauge('forward_info', 'The log server in use, or tried last.', [[{ target }, 1]]),
    states('forward_state', 'Whether the forwarder is connected.', connections, state),
    gauge('forward_state_timestamp_seconds', 'Since when.', one(Date.parse(since) / 1000)),
    gauge(
      'forward_last_ack_timestamp_seconds',
      'When the server last acknowledged something.',
      one(lastAckAt === null ? null : Date.parse(lastAckAt) / 1000),
    ),
    gauge('forward_lag_entries', 'What is in the journal and not acknowledged.', one(lag.entries)),
    gauge('forward_lag_seconds', 'How far the server is behind the journal.', one(lag.seconds)),
    gauge(
      'forward_entries',
      'What became of entries since the forwarder was started.',
      outcomes.map((outcome): Sample => [{ outcome }, forward[outcome]]),
    ),
  ];
}

type Sample = [labels: Record<string, string>, value: number];

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name: `immutafs_${name}`, help, samples: samples.map(([labels, value]) => ({ labels, value })) };
}

function states(name: string, help: string, all: readonly string[], now: string): Family {
  return gauge(
    name,
    help,
    all.map((each) => [{ [name]: each }, Number(each === now)]),
  );
}

function family({ name, help, samples }: Family): string {
  if (samples.length === 0) return '';
  const lines = samples.map(({ labels, value }) => `${name}${braces(labels)} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join('')}`;
}

function braces(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${labelValue(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
