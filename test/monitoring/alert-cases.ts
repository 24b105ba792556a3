/** Series of promtool's notation with their values (https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/). */
export type Series = Record<string, string>;

/** When an alert fires, and its negative twin: nearly the same series, for which it does not. */
export interface AlertCase {
  alert: string;
  title: string;
  firing: Series;
  /** The labels of the alert that fires, besides alertname, alertstate and severity. */
  labels: Record<string, string>;
  quiet: Series;
  /** When the alert is evaluated; 30m if undefined. */
  at?: string;
  /** Interval between samples and evaluations; 1m if undefined. */
  interval?: string;
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
const lostBytes = `immutafs_forward_file_lost_bytes_total{${ofGuest},file="/a"}`;
const reportTime = `immutafs_report_timestamp_seconds{${ofGuest}}`;
const version = (instance: string) => `immutafs_agent_version_number{instance="${instance}",job="immutafs"}`;
const disk = (view: string) => `immutafs_host_disk_read_only{${ofDomain},disk="vda",view="${view}"}`;
const answers = `immutafs_host_guest_answers{${ofDomain}}`;
const guestTime = `immutafs_host_guest_report_timestamp_seconds{${ofDomain}}`;
const hostTime = 'immutafs_host_metrics_timestamp_seconds{instance="h",job="hosts"}';

export const alertCases: readonly AlertCase[] = [
  ...['failed', 'unknown', 'off'].map((name) => ({
    alert: 'ImmutafsNotSealed',
    title: `the verdict is ${name}`,
    firing: { [verdict(name)]: '1x30', [verdict('sealed')]: '0x30' },
    labels: guest,
    quiet: { [verdict(name)]: '0x30', [verdict('sealed')]: '1x30' },
  })),
  {
    alert: 'ImmutafsNotSealed',
    title: 'the verdict changes between failed and unknown; sealed in between',
    firing: { [verdict('failed')]: '0 0 0 1 1 0 0 1 1 0', [verdict('unknown')]: '0 0 0 0 0 1 1 0 0 1' },
    labels: guest,
    quiet: { [verdict('failed')]: '0 0 0 1 1 0 0 1 1 0', [verdict('unknown')]: '0 0 0 0 0 0 1 0 0 1' },
    at: '9m',
  },
  {
    alert: 'ImmutafsNotSealed',
    title: 'failed for at least five minutes; intentionally not sealed',
    firing: { [verdict('failed')]: '1x6' },
    labels: guest,
    quiet: { [verdict('maintenance')]: '1x6', [verdict('rehearsal')]: '1x6', [verdict('failed')]: '0x6' },
    at: '5m',
  },
  ...['fail', 'error'].map((status) => ({
    alert: 'ImmutafsCheckFailed',
    title: `status ${status}; a warning, and an advisory check`,
    firing: { [check('root-readonly', status)]: '1x30' },
    labels: { ...guest, check: 'root-readonly' },
    quiet: { [check('root-readonly', 'warn')]: '1x30', [check('footholds', status, 'advisory')]: '1x30' },
  })),
  {
    alert: 'ImmutafsEnforcementLost',
    title: 'sealed, but not enforced by the host; enforced by the host',
    firing: { [mode('sealed')]: '1x30', [enforcement('guest')]: '1x30', [enforcement('host')]: '0x30' },
    labels: { ...guest, mode: 'sealed' },
    quiet: { [mode('sealed')]: '1x30', [enforcement('guest')]: '0x30', [enforcement('host')]: '1x30' },
  },
  {
    alert: 'ImmutafsEnforcementLost',
    title: 'another guest is enforced; a rehearsal, and maintenance',
    firing: {
      [mode('sealed')]: '1x30',
      [enforcement('host')]: '0x30',
      [enforcement('host').replace('"g"', '"other"')]: '1x30',
    },
    labels: { ...guest, mode: 'sealed' },
    quiet: {
      [mode('sealed')]: '1x30',
      [enforcement('host')]: '0x30',
      [`immutafs_rehearsal_end_timestamp_seconds{${ofGuest}}`]: '9000x30',
      [mode('maintenance').replace('"g"', '"other"')]: '1x30',
      [enforcement('host').replace('"g"', '"other"')]: '0x30',
    },
  },
  {
    alert: 'ImmutafsReportOld',
    title: 'not renewed; renewed every minute',
    firing: { [reportTime]: '0x30' },
    labels: guest,
    quiet: { [reportTime]: '0+60x30' },
  },
  {
    alert: 'ImmutafsReportOld',
    title: 'from the future; five minutes ahead',
    firing: { [reportTime]: '3600+60x30' },
    labels: guest,
    quiet: { [reportTime]: '300+60x30' },
  },
  {
    alert: 'ImmutafsReportAbsent',
    title: 'a target of the job that never reported; a target of another job',
    firing: { [`up{${ofGuest}}`]: '1x30' },
    labels: guest,
    quiet: { 'up{instance="g",job="node"}': '1x30' },
  },
  {
    alert: 'ImmutafsReportAbsent',
    title: 'a guest that no longer reports; one that paused for nine minutes',
    firing: { [reportTime]: '0+60x9 stale _x30' },
    labels: guest,
    quiet: { [reportTime]: '0+60x9 stale _x8 1200+60x20' },
  },
  {
    alert: 'ImmutafsVarFull',
    title: 'in five hours; in seven hours',
    firing: { [`immutafs_var_full_seconds{${ofGuest}}`]: '18000x30' },
    labels: guest,
    quiet: { [`immutafs_var_full_seconds{${ofGuest}}`]: '25200x30' },
  },
  {
    alert: 'ImmutafsStateLost',
    title: 'the check warns; it passes or is skipped, or another advisory check warns',
    firing: { [check('state-kept', 'warn', 'advisory')]: '1x30' },
    labels: guest,
    quiet: {
      [check('state-kept', 'pass', 'advisory')]: '1x30',
      [check('state-kept', 'skip', 'advisory')]: '1x30',
      [check('footholds', 'warn', 'advisory')]: '1x30',
    },
  },
  {
    alert: 'ImmutafsStateLost',
    title: 'for a quarter of an hour; written and removed within it',
    firing: { [check('state-kept', 'warn', 'advisory')]: '1x16' },
    labels: guest,
    quiet: { [check('state-kept', 'warn', 'advisory')]: '1x13 stale' },
    at: '16m',
  },
  {
    alert: 'ImmutafsForwardingDown',
    title: 'waiting; connected again after nine minutes',
    firing: { [forwardState('connected')]: '0x30', [forwardState('waiting')]: '1x30' },
    labels: guest,
    quiet: { [forwardState('connected')]: '1x20 0x8 1', [forwardState('waiting')]: '0x20 1x8 0' },
  },
  {
    alert: 'ImmutafsForwardingDown',
    title: 'the forwarder never started, so it has no state; no FORWARD',
    firing: { [check('forward-healthy', 'fail')]: '1x30' },
    labels: guest,
    quiet: { [check('forward-healthy', 'skip')]: '1x30' },
  },
  {
    alert: 'ImmutafsForwardingDown',
    title: 'both at once are one alert; a warning is none',
    firing: { [check('forward-healthy', 'fail')]: '1x30', [forwardState('connected')]: '0x30' },
    labels: guest,
    quiet: { [check('forward-healthy', 'warn')]: '1x30', [forwardState('connected')]: '1x30' },
  },
  ...['lost', 'corrupt', 'refused', 'cut'].map((name) => ({
    alert: 'ImmutafsForwardingLoses',
    title: `${name} entries; acknowledged and repeated entries`,
    firing: { [outcome(name)]: '0x20 3x10' },
    labels: guest,
    quiet: { [outcome(name)]: '0x30', [outcome('acknowledged')]: '0+5x30', [outcome('repeated')]: '0+1x30' },
  })),
  {
    alert: 'ImmutafsForwardingLoses',
    title: 'lost before the first sample; more than an hour ago',
    firing: { [outcome('lost')]: '_x50 3x70' },
    labels: guest,
    quiet: { [outcome('lost')]: '0x10 3x110' },
    at: '105m',
  },
  {
    alert: 'ImmutafsForwardingLoses',
    title: 'bytes of a file; none',
    firing: { [lostBytes]: '0x20 100x10' },
    labels: guest,
    quiet: { [lostBytes]: '0x30' },
  },
  {
    alert: 'ImmutafsMaintenanceLong',
    title: 'for five hours; for three hours',
    firing: { [mode('maintenance')]: '1x300' },
    labels: { ...guest, mode: 'maintenance' },
    quiet: { [mode('maintenance')]: '0x120 1x180' },
    at: '300m',
  },
  {
    alert: 'ImmutafsAgentBehind',
    title: 'for eight days; for six days',
    firing: { [version('g')]: '1000x192', [version('new')]: '2000x192' },
    labels: guest,
    quiet: { [version('g')]: '1000x144 2000x48', [version('new')]: '2000x192' },
    at: '8d',
    interval: '1h',
  },
  {
    alert: 'ImmutafsHostGuestDiffer',
    title: 'two differences; none',
    firing: { [`immutafs_host_differences{${ofDomain}}`]: '2x30' },
    labels: domainLabels,
    quiet: { [`immutafs_host_differences{${ofDomain}}`]: '0x30' },
  },
  {
    alert: 'ImmutafsHostEnforcementLost',
    title: 'writable in QEMU alone; writable in both',
    firing: { [disk('libvirt')]: '1x30', [disk('qemu')]: '0x30' },
    labels: { ...domainLabels, disk: 'vda', view: 'qemu' },
    quiet: { [disk('libvirt')]: '0x30', [disk('qemu')]: '0x30', [disk('next_start')]: '1x30' },
  },
  {
    alert: 'ImmutafsHostEnforcementLost',
    title: 'writable from the next start; another disk is writable',
    firing: { [disk('libvirt')]: '1x30', [disk('qemu')]: '1x30', [disk('next_start')]: '0x30' },
    labels: { ...domainLabels, disk: 'vda', view: 'next_start' },
    quiet: {
      [disk('libvirt')]: '1x30',
      [disk('qemu')]: '1x30',
      [disk('next_start')]: '1x30',
      [disk('qemu').replace('vda', 'vdb')]: '0x30',
      [disk('next_start').replace('vda', 'vdb')]: '0x30',
    },
  },
  {
    alert: 'ImmutafsHostGuestSilent',
    title: 'silent for twenty minutes; never answered, and shut off',
    firing: { [answers]: '1x10 0x30' },
    labels: domainLabels,
    quiet: { [answers]: '0x40', [answers.replace('"d"', '"off"')]: '1x10 stale' },
    at: '40m',
  },
  {
    alert: 'ImmutafsHostGuestSilent',
    title: 'delivers the same report for an hour; new reports',
    firing: { [answers]: '1x60', [guestTime]: '0x60' },
    labels: domainLabels,
    quiet: { [answers]: '1x60', [guestTime]: '0+60x60' },
    at: '60m',
  },
  {
    alert: 'ImmutafsHostMetricsOld',
    title: 'not renewed; renewed',
    firing: { [hostTime]: '0x30' },
    labels: host,
    quiet: { [hostTime]: '0+60x30' },
  },
  {
    alert: 'ImmutafsHostMetricsOld',
    title: 'absent; absent for four minutes',
    firing: { [hostTime]: '0+60x9 stale _x30' },
    labels: host,
    quiet: { [hostTime]: '0+60x9 stale _x3 900+60x20' },
  },
  {
    alert: 'ImmutafsHostQueryFailed',
    title: 'for twenty minutes; for eight minutes',
    firing: { [`immutafs_host_domain_error{${ofDomain}}`]: '0x10 1x20' },
    labels: domainLabels,
    quiet: { [`immutafs_host_domain_error{${ofDomain}}`]: '0x22 1x8' },
  },
];
