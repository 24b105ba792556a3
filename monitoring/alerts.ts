import { documentedChecks } from '../agent/checks/documented.ts';
import { documented, runbookOfCheck } from './runbook.ts';

/** An alert of Prometheus. */
export interface Alert {
  name: string;
  expr: string;
  /** How long the expression must be true, as a duration of Prometheus. */
  for: string;
  severity: 'critical' | 'warning' | 'info';
  /** Templates of Prometheus. */
  summary: string;
  description: string;
  /** What it means and what to do. */
  runbook: string;
}

/** A duration in expressions: losses are shown for this long, and a test replaces it by a few seconds. */
export const lossWindow = '1h';

/** The labels that identify a guest whose node_exporter collects the metrics of the agent. */
const guest = 'on (instance, job)';
/** The labels that identify a domain in the metrics of a host. */
const domain = 'on (instance, job, domain)';
const inGuest = 'In the guest, run `immutafs-agent status`.';

/** The alerts about the metrics that the agent in a guest writes (PROMETHEUS_FILE). */
export const guestAlerts: readonly Alert[] = [
  {
    name: 'ImmutafsNotSealed',
    // Without the label `verdict`, the alert stays the same if the verdict changes between these values.
    expr: 'max without (verdict) (immutafs_verdict{verdict=~"failed|unknown|off"} == 1)',
    for: '5m',
    severity: 'critical',
    summary: '{{ $labels.instance }} is not verified as sealed',
    description:
      'The verdict of the agent is failed (a required check failed), unknown (a required check could not be evaluated) or off.',
    runbook: `${inGuest} The alerts ImmutafsCheckFailed of this guest name the checks and how to fix each of them. If the verdict is off, remove immutafs=off from the kernel command line and MODE=off from /etc/immutafs/immutafs.conf in maintenance mode, and seal the guest again.`,
  },
  {
    name: 'ImmutafsCheckFailed',
    expr: 'max without (severity, status) (immutafs_check_status{severity="required", status=~"fail|error"} == 1)',
    for: '5m',
    severity: 'warning',
    summary: '{{ $labels.instance }}: the check {{ $labels.check }} does not pass',
    description: `A required check failed or could not be evaluated. \`immutafs-agent status\` in the guest shows what was found.`,
    runbook: runbookOfCheck(documentedChecks, '$labels.check'),
  },
  {
    name: 'ImmutafsEnforcementLost',
    expr: [
      `(immutafs_mode{mode="sealed"} == 1)`,
      `unless ${guest} (immutafs_enforcement{enforcement="host"} == 1)`,
      `unless ${guest} immutafs_rehearsal_end_timestamp_seconds`,
    ].join('\n'),
    for: '1m',
    severity: 'critical',
    summary: '{{ $labels.instance }}: the host no longer enforces read-only',
    description:
      'The guest is in sealed mode, but not every system disk is read-only by the report of the disk itself. Root in the guest may be able to write to the system disk.',
    runbook: documented(documentedChecks, 'host-enforced'),
  },
  {
    name: 'ImmutafsReportOld',
    expr: 'abs(time() - immutafs_report_timestamp_seconds) > 600',
    for: '5m',
    severity: 'critical',
    summary: '{{ $labels.instance }}: the report of the agent is {{ $value | humanizeDuration }} old',
    description:
      'immutafs-check.timer evaluates the guest every minute. Every other metric of this guest is as old as the report. A time in the future means that the clock of the guest is wrong.',
    runbook:
      'In the guest, run `systemctl status immutafs-check.timer immutafs-drift.service` and `journalctl -u immutafs-drift.service`. The log names PROMETHEUS_FILE if the file cannot be written, for example because its file system is full. Compare the clock of the guest with that of Prometheus (`timedatectl`).',
  },
  {
    name: 'ImmutafsReportAbsent',
    expr: [
      `(up{job=~"immutafs.*"} unless ${guest} immutafs_report_timestamp_seconds)`,
      `or`,
      `(max_over_time(immutafs_report_timestamp_seconds[1d]) unless ${guest} immutafs_report_timestamp_seconds)`,
    ].join('\n'),
    for: '10m',
    severity: 'critical',
    summary: '{{ $labels.instance }} sends no report of the agent',
    description:
      'Prometheus does not receive the metrics of the agent, although the guest belongs to a scrape job whose name begins with immutafs, or sent them within the last day.',
    runbook:
      'If the guest is shut off for longer, silence the alert. Otherwise verify that the guest runs and that its node_exporter answers, that /etc/immutafs/immutafs.conf sets PROMETHEUS_FILE to a file *.prom in the directory that node_exporter reads (--collector.textfile.directory), and that immutafs-check.timer is active.',
  },
  {
    name: 'ImmutafsVarFull',
    expr: 'immutafs_var_full_seconds < 6 * 3600',
    for: '10m',
    severity: 'warning',
    summary: '{{ $labels.instance }}: /var is full in {{ $value | humanizeDuration }}',
    description:
      'At its present rate, the writable layer of /var in memory is full within six hours. Then logging stops and services fail.',
    runbook: documented(documentedChecks, 'var-usage'),
  },
  {
    name: 'ImmutafsStateLost',
    expr: 'max without (check, severity, status) (immutafs_check_status{check="state-kept", status="warn"} == 1)',
    for: '15m',
    severity: 'warning',
    summary: '{{ $labels.instance }}: the next reboot loses state of services',
    description:
      'Services have written data, queues or registrations that are only in memory, and that are neither kept nor accepted. `immutafs-agent changes --state` in the guest lists them.',
    runbook: documented(documentedChecks, 'state-kept'),
  },
  {
    name: 'ImmutafsForwardingDown',
    expr: [
      `max without (forward_state, check, severity, status) (`,
      `  immutafs_forward_state{forward_state="connected"} == 0`,
      `  or ${guest}`,
      `  immutafs_check_status{check="forward-healthy", status=~"fail|error"} == 1`,
      `)`,
    ].join('\n'),
    for: '10m',
    severity: 'critical',
    summary: '{{ $labels.instance }} does not forward its logs',
    description:
      'The forwarder is not connected to the log server, or does not run. Entries wait in the guest; they are lost at a reboot, or when the journal exceeds its size.',
    runbook: documented(documentedChecks, 'forward-healthy'),
  },
  {
    name: 'ImmutafsForwardingLoses',
    // The second part of each pair finds counters that were above 0 in the first sample, of which increase() knows nothing.
    expr: [
      `sum without (outcome) (`,
      `  increase(immutafs_forward_entries_total{outcome=~"lost|corrupt|refused|cut"}[${lossWindow}]) > 0`,
      `  or (immutafs_forward_entries_total{outcome=~"lost|corrupt|refused|cut"} > 0`,
      `    unless immutafs_forward_entries_total offset ${lossWindow})`,
      `) or ${guest} sum without (file) (`,
      `  increase(immutafs_forward_file_lost_bytes_total[${lossWindow}]) > 0`,
      `  or (immutafs_forward_file_lost_bytes_total > 0`,
      `    unless immutafs_forward_file_lost_bytes_total offset ${lossWindow})`,
      `) or ${guest} (`,
      `  increase(immutafs_forward_lost_files_total[${lossWindow}]) > 0`,
      `  or (immutafs_forward_lost_files_total > 0`,
      `    unless immutafs_forward_lost_files_total offset ${lossWindow})`,
      `)`,
    ].join('\n'),
    for: '0m',
    severity: 'warning',
    summary: '{{ $labels.instance }}: log entries were lost within the last hour',
    description:
      'Log entries, log files, or bytes of a log file, were removed before they could be sent, were unreadable, were truncated, or were refused by the server.',
    runbook: documented(documentedChecks, 'forward-healthy'),
  },
  {
    name: 'ImmutafsMaintenanceLong',
    expr: 'immutafs_mode{mode="maintenance"} == 1',
    for: '4h',
    severity: 'warning',
    summary: '{{ $labels.instance }} has been in maintenance mode for more than four hours',
    description:
      'The host left the system disk writable, so changes persist. A maintenance window should be over by now.',
    runbook:
      'Finish the update and seal the guest: `immutafs-agent check --ready-to-seal` lists the steps that remain. Then run the playbook immutafs.agent.seal, or shut the guest down, make its system disk read-only on the host, and start it. For longer windows, change `for`.',
  },
  {
    name: 'ImmutafsAgentBehind',
    expr: 'immutafs_agent_version_number < scalar(max(immutafs_agent_version_number))',
    for: '7d',
    severity: 'info',
    summary: '{{ $labels.instance }} has had an older agent than other guests for a week',
    description: 'The newest version of the agent in the fleet is not installed in this guest.',
    runbook:
      'Update the guest: run the playbook immutafs.agent.update, or open the guest, install the new package, and seal the guest again.',
  },
];

/** The alerts about the metrics that monitoring/host/immutafs-host-metrics writes on a host. */
export const hostAlerts: readonly Alert[] = [
  {
    name: 'ImmutafsHostGuestDiffer',
    expr: 'immutafs_host_differences > 0',
    for: '5m',
    severity: 'critical',
    summary: '{{ $labels.domain }} reports another state than its host',
    description:
      'The report of the guest differs from what libvirt and QEMU enforce. The guest may run from another disk, or its report may be forged.',
    runbook:
      'On the host, run `journalctl -u immutafs-host-metrics.service`, which lists each difference, or the playbook immutafs.agent.status. Trust the host. If the guest reports that it is sealed and the host reports a writable disk, treat the guest as compromised until you have found another cause.',
  },
  {
    name: 'ImmutafsHostEnforcementLost',
    expr: [
      `(`,
      `  immutafs_host_disk_read_only{view="qemu"} == 0`,
      `  and ${domain.replace(')', ', disk)')} immutafs_host_disk_read_only{view="libvirt"} == 1`,
      `) or (`,
      `  immutafs_host_disk_read_only{view="next_start"} == 0`,
      `  and ${domain.replace(')', ', disk)')} immutafs_host_disk_read_only{view="qemu"} == 1`,
      `)`,
    ].join('\n'),
    for: '1m',
    severity: 'critical',
    summary: '{{ $labels.domain }}: disk {{ $labels.disk }} is not read-only as configured',
    description:
      'View qemu: libvirt configures the disk as read-only, but QEMU opened it writable. View next_start: the disk is read-only now, and writable from the next start of the domain.',
    runbook:
      'On the host, compare `virsh dumpxml DOMAIN`, `virsh dumpxml --inactive DOMAIN` and `virsh qemu-monitor-command DOMAIN --pretty \'{"execute":"query-block"}\'`. If the guest is to be opened for an update, the alert ends with the restart. Otherwise find out who changed the domain, and seal the guest again.',
  },
  {
    name: 'ImmutafsHostGuestSilent',
    expr: [
      `(immutafs_host_guest_answers == 0 and ${domain} max_over_time(immutafs_host_guest_answers[1d]) == 1)`,
      `or ${domain} (time() - immutafs_host_guest_report_timestamp_seconds > 600)`,
    ].join('\n'),
    for: '15m',
    severity: 'warning',
    summary: '{{ $labels.domain }} no longer sends a new report to its host',
    description:
      'The domain runs, and its guest agent delivered a report within the last day, but delivers none any more, or one that is older than ten minutes. The host cannot compare the present state of the guest with what it enforces.',
    runbook:
      'In the guest, run `systemctl status qemu-guest-agent immutafs-check.timer`. On the host, run `journalctl -u immutafs-host-metrics.service`, which shows the error.',
  },
  {
    name: 'ImmutafsHostMetricsOld',
    expr: [
      `time() - immutafs_host_metrics_timestamp_seconds > 600`,
      `or`,
      `(max_over_time(immutafs_host_metrics_timestamp_seconds[1d]) unless ${guest} immutafs_host_metrics_timestamp_seconds)`,
    ].join('\n'),
    for: '5m',
    severity: 'warning',
    summary: '{{ $labels.instance }}: the metrics of the host are old or absent',
    description: 'immutafs-host-metrics.timer writes the metrics of all domains every minute.',
    runbook:
      'On the host, run `systemctl status immutafs-host-metrics.timer immutafs-host-metrics.service` and `journalctl -u immutafs-host-metrics.service`.',
  },
  {
    name: 'ImmutafsHostQueryFailed',
    expr: 'immutafs_host_domain_error == 1',
    for: '10m',
    severity: 'warning',
    summary: '{{ $labels.domain }}: libvirt or QEMU does not answer',
    description: 'The host could not determine what it enforces for this domain.',
    runbook:
      'On the host, run `journalctl -u immutafs-host-metrics.service`, which shows the error, and `virsh domstate DOMAIN`. A QEMU process that hangs does not answer its monitor.',
  },
];
