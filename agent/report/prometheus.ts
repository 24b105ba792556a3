import type { ForwardSource } from '../facts/forwarder.ts';
import { labelValue } from '../lib/unprintable.ts';
import type { Report } from './report.ts';

/**
 * Formats the report in the Prometheus text format for the textfile collector of node_exporter. As in the StateSet of
 * OpenMetrics, the sample of the current state is 1 and the samples of all other states are 0, so no series disappears.
 * Only check_status has a single sample for each check, because five samples for each check would be most of the file.
 */
export function formatPrometheus(report: Report): string {
  return [
    ...describeReport(report),
    ...describeChecks(report),
    ...describeLayer(report),
    ...describeOverlays(report),
    ...describeScratch(report),
    ...describeForward(report),
  ]
    .map(family)
    .join('');
}

interface Family {
  name: string;
  type: 'gauge' | 'counter';
  help: string;
  samples: { labels: Record<string, string>; value: number }[];
}

function describeReport(report: Report): Family[] {
  const { agent, host, image, at, boot, disks, footholds, impostors, programs, rehearsal } = report;
  const info = { version: agent.version, boot_id: host.bootId, kernel: host.kernel };
  return [
    gauge('agent_info', 'The version of the agent, and the boot that it evaluated.', [[info, 1]]),
    gauge(
      'image_info',
      'The image from which this guest was started.',
      image === null ? [] : [[{ name: image.name, version: image.version }, 1]],
    ),
    gauge(
      'agent_version_number',
      'The version of the agent for comparisons: major * 1000000 + minor * 1000 + patch.',
      versionNumber(agent.version),
    ),
    states('verdict', 'The verdict of all checks.', verdicts, report.verdict),
    states('mode', 'The mode of this boot.', ['sealed', 'maintenance', 'off'], report.mode),
    states('enforcement', 'What enforces read-only on the system disks.', enforcements, report.enforcement),
    gauge(
      'rehearsal_end_timestamp_seconds',
      'Time at which the rehearsal ends; absent if this boot is not a rehearsal.',
      rehearsal === null ? [] : [[{}, Date.parse(rehearsal.endsAt) / 1000]],
    ),
    gauge('report_timestamp_seconds', 'Time at which the guest was evaluated.', [
      [{}, Date.parse(at) / 1000],
    ]),
    gauge(
      'boot_evidence_timestamp_seconds',
      'Time at which the boot record was written.',
      boot === null ? [] : [[{}, Date.parse(boot.at) / 1000]],
    ),
    gauge(
      'disk_host_read_only',
      'Whether the host made a disk read-only, as reported by the disk.',
      disks.map(({ name, bus, hostReadOnly }) => [{ disk: name, bus }, Number(hostReadOnly === true)]),
    ),
    gauge(
      'impostors',
      'Devices outside the sealed disks that carry an identity of a device on a sealed disk.',
      [[{}, new Set(impostors.map(({ device }) => device)).size]],
    ),
    gauge('footholds', 'Mounts that are writable and executable, or writable and persistent.', [
      [{}, footholds.length],
    ]),
    gauge(
      'foreign_programs',
      'Processes that run a program or a library that did not come from the sealed disk.',
      programs === null ? [] : [[{}, programs.count]],
    ),
  ];
}

/** Returns the version as a number; without sample if the version does not begin with three numbers below 1000. */
function versionNumber(version: string): Sample[] {
  const [, major, minor, patch] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\d)/.exec(version) ?? [];
  return patch === undefined ? [] : [[{}, Number(major) * 1e6 + Number(minor) * 1e3 + Number(patch)]];
}

const verdicts = ['sealed', 'unenforced', 'rehearsal', 'failed', 'maintenance', 'off', 'unknown'];
const enforcements = ['host', 'guest', 'partial', 'none'];

/**
 * Returns one sample for each check, with the value 1 and the present status as a label. An expression such as
 * `check_status{status="fail"} == 1` needs no samples for the other statuses: when a status changes, Prometheus marks the
 * series of the former status as stale at the next scrape.
 */
function describeChecks({ checks }: Report): Family[] {
  const samples = checks.map(({ id, severity, status }): Sample => [{ check: id, severity, status }, 1]);
  return [gauge('check_status', 'The present status of each check; the value is always 1.', samples)];
}

/** Returns the metrics of the upper layer of /var, without samples if /var is not an overlay. */
function describeLayer({ var: layer }: Report): Family[] {
  const one = (value: number | null): Sample[] => (value === null ? [] : [[{}, value]]);
  return [
    gauge('var_size_bytes', 'Size limit of the upper layer of /var.', one(layer.sizeBytes)),
    gauge('var_used_bytes', 'Used bytes of the upper layer of /var.', one(layer.usedBytes)),
    gauge('var_inodes', 'Inode limit of the upper layer of /var.', one(layer.inodes)),
    gauge('var_inodes_used', 'Used inodes of the upper layer of /var.', one(layer.inodesUsed)),
    gauge(
      'var_full_seconds',
      'Seconds until the upper layer of /var is full at the present rate; absent if it does not grow.',
      one(layer.forecast?.secondsUntilFull ?? null),
    ),
  ];
}

const overlayStates = ['overlay', 'inactive', 'unneeded', 'refused', 'missing', 'failed'];

function describeOverlays({ overlays }: Report): Family[] {
  const samples = overlays.flatMap(({ target, state }) =>
    overlayStates.map((each): Sample => [{ target, overlay_state: each }, Number(each === state)]),
  );
  return [gauge('overlay_state', 'The state of each path of OVERLAY.', samples)];
}

const scratchStates = ['disk', 'memory', 'read-only', 'failed', 'inactive'];

function describeScratch({ scratch }: Report): Family[] {
  const samples = scratch.flatMap(({ path, state }) =>
    scratchStates.map((each): Sample => [{ path, scratch_state: each }, Number(each === state)]),
  );
  return [gauge('scratch_state', 'The state of each path of SCRATCH.', samples)];
}

const outcomes = ['acknowledged', 'repeated', 'lost', 'corrupt', 'refused', 'cut', 'suppressed'] as const;
const connections = ['connecting', 'connected', 'waiting', 'stopped'];

/** Returns the metrics of the forwarder; none if the forwarder has not run in this boot or is not configured. */
function describeForward({ forward }: Report): Family[] {
  if (forward === null) return [];
  const { target, state, since, lastAckAt, lag } = forward;
  const one = (value: number | null): Sample[] => (value === null ? [] : [[{}, value]]);
  return [
    gauge('forward_info', 'The log server in use, or the last one tried.', [[{ target }, 1]]),
    states('forward_state', 'The connection state of the forwarder.', connections, state),
    gauge(
      'forward_state_timestamp_seconds',
      'Time at which the forwarder entered this state.',
      one(Date.parse(since) / 1000),
    ),
    gauge(
      'forward_last_ack_timestamp_seconds',
      'Time of the last acknowledgement of the server.',
      one(lastAckAt === null ? null : Date.parse(lastAckAt) / 1000),
    ),
    gauge('forward_lag_entries', 'Journal entries that the server has not acknowledged.', one(lag.entries)),
    gauge('forward_lag_seconds', 'Seconds by which the log server is behind the journal.', one(lag.seconds)),
    counter(
      'forward_entries_total',
      'Entries since the start of the forwarder, by outcome.',
      outcomes.map((outcome): Sample => [{ outcome }, forward[outcome]]),
    ),
    gauge(
      'forward_entries',
      'Deprecated: use immutafs_forward_entries_total, which has the same values and the type counter.',
      outcomes.map((outcome): Sample => [{ outcome }, forward[outcome]]),
    ),
    counter(
      'forward_lost_entries_total',
      'Journal entries that were removed before they could be forwarded, since the start of the forwarder.',
      [[{}, forward.lost]],
    ),
    counter(
      'forward_lost_files_total',
      'Log files that were removed before they could be read, since the start of the forwarder.',
      [[{}, forward.lostFiles]],
    ),
    ...describeFiles(forward.sources),
  ];
}

function describeFiles(sources: readonly ForwardSource[]): Family[] {
  const samples = (value: (source: ForwardSource) => number) =>
    sources.map((source): Sample => [{ file: source.path }, value(source)]);
  return [
    counter(
      'forward_file_acknowledged_bytes_total',
      'Bytes of a log file that the server has acknowledged, since the start of the forwarder.',
      samples(({ acknowledgedBytes }) => acknowledgedBytes),
    ),
    counter(
      'forward_file_lost_bytes_total',
      'Bytes of a log file that were removed before they could be forwarded, since the start of the forwarder.',
      samples(({ lostBytes }) => lostBytes),
    ),
    gauge(
      'forward_file_behind_bytes',
      'Bytes of a log file that the server has not acknowledged.',
      samples(({ behindBytes }) => behindBytes),
    ),
    gauge(
      'forward_file_readable',
      'Whether the forwarder can read a log file.',
      samples(({ error }) => Number(error === '')),
    ),
  ];
}

type Sample = [labels: Record<string, string>, value: number];

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return {
    name: `immutafs_${name}`,
    type: 'gauge',
    help,
    samples: samples.map(([labels, value]) => ({ labels, value })),
  };
}

/** Returns a family of values that only grow. Its name ends in _total. */
function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { ...gauge(name, help, samples), type: 'counter' };
}

function states(name: string, help: string, all: readonly string[], now: string): Family {
  return gauge(
    name,
    help,
    all.map((each) => [{ [name]: each }, Number(each === now)]),
  );
}

function family({ name, type, help, samples }: Family): string {
  if (samples.length === 0) return '';
  const lines = samples.map(({ labels, value }) => `${name}${braces(labels)} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function braces(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${labelValue(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
