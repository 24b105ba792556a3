/** Series of promtool's notation with their values (https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/). */
export type Series = Record<string, string>;

interface Options {
  /** The labels of the alert that fires, besides alertname, alertstate and severity. */
  labels?: Record<string, string>;
  /** When the alert is evaluated; 30m by default. */
  at?: string;
  /** Interval between samples and evaluations; 1m by default. */
  interval?: string;
}

/** When an alert fires, and its negative twin: nearly the same series, for which it does not. */
type Row = [title: string, firing: Series, quiet: Series, options?: Options];

export interface AlertCase extends Required<Options> {
  alert: string;
  title: string;
  firing: Series;
  quiet: Series;
}

const guest = { instance: 'g', job: 'immutafs' };
const host = { instance: 'h', job: 'hosts' };
const ofGuest = 'instance="g",job="immutafs"';
const ofDomain = 'instance="h",job="hosts",domain="d"';
const domainLabels = { ...host, domain: 'd' };

const verdict = (name: string) => `immutafs_verdict{${ofGuest},verdict="${name}"}`;
const mode = (name: string) => `immutafs_mode{${ofGuest},mode="${name}"}`;
const enforcement = (name: string) => `immutafs_enforcement{${ofGuest},enforcement="${name}"}`;
const check = (id: string, status: string, severity = 'required') =>
  `immutafs_check_status{${ofGuest},check="${id}",severity="${severity}",status="${status}"}`;
const forwardState = (state: string) => `immutafs_forward_state{${ofGuest},forward_state="${state}"}`;
const outcome = (name: string) => `immutafs_forward_entries_total{${ofGuest},outcome="${name}"}`;
const lostFiles = `immutafs_forward_lost_files_total{${ofGuest}}`;
const lostBytes = `immutafs_forward_file_lost_bytes_total{${ofGuest},file="/a"}`;
const reportTime = `immutafs_report_timestamp_seconds{${ofGuest}}`;
const version = (instance: string) => `immutafs_agent_version_number{instance="${instance}",job="immutafs"}`;
const disk = (view: string) => `immutafs_host_disk_read_only{${ofDomain},disk="vda",view="${view}"}`;
const answers = `immutafs_host_guest_answers{${ofDomain}}`;
const guestTime = `immutafs_host_guest_report_timestamp_seconds{${ofDomain}}`;
const hostTime = 'immutafs_host_metrics_timestamp_seconds{instance="h",job="hosts"}';

const rows: Record<string, Row[]> = {
  ImmutafsNotSealed: [
    ...['failed', 'unknown', 'off'].map((name): Row => [
      `the verdict is ${name}`,
      { [verdict(name)]: '1x30', [verdict('sealed')]: '0x30' },
      { [verdict(name)]: '0x30', [verdict('sealed')]: '1x30' },
    ]),
    [
      'the verdict changes between failed and unknown; sealed in between',
      { [verdict('failed')]: '0 0 0 1 1 0 0 1 1 0', [verdict('unknown')]: '0 0 0 0 0 1 1 0 0 1' },
      { [verdict('failed')]: '0 0 0 1 1 0 0 1 1 0', [verdict('unknown')]: '0 0 0 0 0 0 1 0 0 1' },
      { at: '9m' },
    ],
    [
      'failed for at least five minutes; intentionally not sealed',
      { [verdict('failed')]: '1x6' },
      { [verdict('maintenance')]: '1x6', [verdict('rehearsal')]: '1x6', [verdict('failed')]: '0x6' },
      { at: '5m' },
    ],
  ],
  ImmutafsCheckFailed: [
    ...['fail', 'error'].map((status): Row => [
      `status ${status}; a warning, and an advisory check`,
      { [check('root-readonly', status)]: '1x30' },
      { [check('root-readonly', 'warn')]: '1x30', [check('footholds', status, 'advisory')]: '1x30' },
      { labels: { ...guest, check: 'root-readonly' } },
    ]),
  ],
  ImmutafsEnforcementLost: [
    [
      'sealed, but not enforced by the host; enforced by the host',
      { [mode('sealed')]: '1x30', [enforcement('guest')]: '1x30', [enforcement('host')]: '0x30' },
      { [mode('sealed')]: '1x30', [enforcement('guest')]: '0x30', [enforcement('host')]: '1x30' },
      { labels: { ...guest, mode: 'sealed' } },
    ],
    [
      'another guest is enforced; a rehearsal, and maintenance',
      {
        [mode('sealed')]: '1x30',
        [enforcement('host')]: '0x30',
        [enforcement('host').replace('"g"', '"other"')]: '1x30',
      },
      {
        [mode('sealed')]: '1x30',
        [enforcement('host')]: '0x30',
        [`immutafs_rehearsal_end_timestamp_seconds{${ofGuest}}`]: '9000x30',
        [mode('maintenance').replace('"g"', '"other"')]: '1x30',
        [enforcement('host').replace('"g"', '"other"')]: '0x30',
      },
      { labels: { ...guest, mode: 'sealed' } },
    ],
  ],
  ImmutafsReportOld: [
    ['not renewed; renewed every minute', { [reportTime]: '0x30' }, { [reportTime]: '0+60x30' }],
    ['from the future; five minutes ahead', { [reportTime]: '3600+60x30' }, { [reportTime]: '300+60x30' }],
  ],
  ImmutafsReportAbsent: [
    [
      'a target of the job that never reported; a target of another job',
      { [`up{${ofGuest}}`]: '1x30' },
      { 'up{instance="g",job="node"}': '1x30' },
    ],
    [
      'a guest that no longer reports; one that paused for nine minutes',
      { [reportTime]: '0+60x9 stale _x30' },
      { [reportTime]: '0+60x9 stale _x8 1200+60x20' },
    ],
  ],
  ImmutafsVarFull: [
    [
      'in five hours; in seven hours',
      { [`immutafs_var_full_seconds{${ofGuest}}`]: '18000x30' },
      { [`immutafs_var_full_seconds{${ofGuest}}`]: '25200x30' },
    ],
  ],
  ImmutafsStateLost: [
    [
      'the check warns; it passes or is skipped, or another advisory check warns',
      { [check('state-kept', 'warn', 'advisory')]: '1x30' },
      {
        [check('state-kept', 'pass', 'advisory')]: '1x30',
        [check('state-kept', 'skip', 'advisory')]: '1x30',
        [check('footholds', 'warn', 'advisory')]: '1x30',
      },
    ],
    [
      'for a quarter of an hour; written and removed within it',
      { [check('state-kept', 'warn', 'advisory')]: '1x16' },
      { [check('state-kept', 'warn', 'advisory')]: '1x13 stale' },
      { at: '16m' },
    ],
  ],
  ImmutafsForwardingDown: [
    [
      'waiting; connected again after nine minutes',
      { [forwardState('connected')]: '0x30', [forwardState('waiting')]: '1x30' },
      { [forwardState('connected')]: '1x20 0x8 1', [forwardState('waiting')]: '0x20 1x8 0' },
    ],
    [
      'the forwarder never started, so it has no state; no FORWARD',
      { [check('forward-healthy', 'fail')]: '1x30' },
      { [check('forward-healthy', 'skip')]: '1x30' },
    ],
    [
      'both at once are one alert; a warning is none',
      { [check('forward-healthy', 'fail')]: '1x30', [forwardState('connected')]: '0x30' },
      { [check('forward-healthy', 'warn')]: '1x30', [forwardState('connected')]: '1x30' },
    ],
  ],
  ImmutafsForwardingLoses: [
    ...['lost', 'corrupt', 'refused', 'cut'].map((name): Row => [
      `${name} entries; acknowledged and repeated entries`,
      { [outcome(name)]: '0x20 3x10' },
      { [outcome(name)]: '0x30', [outcome('acknowledged')]: '0+5x30', [outcome('repeated')]: '0+1x30' },
    ]),
    [
      'lost before the first sample; more than an hour ago',
      { [outcome('lost')]: '_x50 3x70' },
      { [outcome('lost')]: '0x10 3x110' },
      { at: '105m' },
    ],
    ['bytes of a file; none', { [lostBytes]: '0x20 100x10' }, { [lostBytes]: '0x30' }],
    ['a file; none', { [lostFiles]: '0x20 1x10' }, { [lostFiles]: '0x30' }],
  ],
  ImmutafsMaintenanceLong: [
    [
      'for five hours; for three hours',
      { [mode('maintenance')]: '1x300' },
      { [mode('maintenance')]: '0x120 1x180' },
      { labels: { ...guest, mode: 'maintenance' }, at: '300m' },
    ],
  ],
  ImmutafsAgentBehind: [
    [
      'for eight days; for six days',
      { [version('g')]: '1000x192', [version('new')]: '2000x192' },
      { [version('g')]: '1000x144 2000x48', [version('new')]: '2000x192' },
      { at: '8d', interval: '1h' },
    ],
  ],
  ImmutafsHostGuestDiffer: [
    [
      'two differences; none',
      { [`immutafs_host_differences{${ofDomain}}`]: '2x30' },
      { [`immutafs_host_differences{${ofDomain}}`]: '0x30' },
    ],
  ],
  ImmutafsHostEnforcementLost: [
    [
      'writable in QEMU alone; writable in both',
      { [disk('libvirt')]: '1x30', [disk('qemu')]: '0x30' },
      { [disk('libvirt')]: '0x30', [disk('qemu')]: '0x30', [disk('next_start')]: '1x30' },
      { labels: { ...domainLabels, disk: 'vda', view: 'qemu' } },
    ],
    [
      'writable from the next start; another disk is writable',
      { [disk('libvirt')]: '1x30', [disk('qemu')]: '1x30', [disk('next_start')]: '0x30' },
      {
        [disk('libvirt')]: '1x30',
        [disk('qemu')]: '1x30',
        [disk('next_start')]: '1x30',
        [disk('qemu').replace('vda', 'vdb')]: '0x30',
        [disk('next_start').replace('vda', 'vdb')]: '0x30',
      },
      { labels: { ...domainLabels, disk: 'vda', view: 'next_start' } },
    ],
  ],
  ImmutafsHostGuestSilent: [
    [
      'silent for twenty minutes; never answered, and shut off',
      { [answers]: '1x10 0x30' },
      { [answers]: '0x40', [answers.replace('"d"', '"off"')]: '1x10 stale' },
      { at: '40m' },
    ],
    [
      'delivers the same report for an hour; new reports',
      { [answers]: '1x60', [guestTime]: '0x60' },
      { [answers]: '1x60', [guestTime]: '0+60x60' },
      { at: '60m' },
    ],
  ],
  ImmutafsHostMetricsOld: [
    ['not renewed; renewed', { [hostTime]: '0x30' }, { [hostTime]: '0+60x30' }, { labels: host }],
    [
      'absent; absent for four minutes',
      { [hostTime]: '0+60x9 stale _x30' },
      { [hostTime]: '0+60x9 stale _x3 900+60x20' },
      { labels: host },
    ],
  ],
  ImmutafsHostQueryFailed: [
    [
      'for twenty minutes; for eight minutes',
      { [`immutafs_host_domain_error{${ofDomain}}`]: '0x10 1x20' },
      { [`immutafs_host_domain_error{${ofDomain}}`]: '0x22 1x8' },
    ],
  ],
};

/** The labels of an alert are those of the guest or of the domain, unless the row has others. */
export const alertCases: readonly AlertCase[] = Object.entries(rows).flatMap(([alert, cases]) =>
  cases.map(([title, firing, quiet, options]) => ({
    ...{ alert, title, firing, quiet, at: '30m', interval: '1m' },
    labels: alert.startsWith('ImmutafsHost') ? domainLabels : guest,
    ...options,
  })),
);
