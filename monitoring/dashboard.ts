import {
  type Dashboard,
  DashboardBuilder,
  DatasourceVariableBuilder,
  type DataTransformerConfig,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { lossWindow } from './alerts.ts';
import { colors, named, numbers, query, stat, table, timeline, timeseries } from './panels.ts';

const dataSource = { type: 'prometheus', uid: '${datasource}' };
const ofGuest = 'instance="$guest"';
const ofDomain = 'domain="$domain"';

/** The verdicts with the numbers that stand for them in a timeline, from good to bad. */
const verdicts = ['sealed', 'unenforced', 'rehearsal', 'maintenance', 'off', 'unknown', 'failed'];

/**
 * Returns the dashboard for Grafana: all guests, one guest, and one domain as its host sees it. It has the first version
 * of the format, although the library calls it deprecated, because every supported version of Grafana imports it.
 */
/* oxlint-disable typescript/no-deprecated */
export function dashboard(): Dashboard {
  const built = new DashboardBuilder('immutafs-agent')
    .uid('immutafs-agent')
    .description('Sealed guests: what the agents report, and what their hosts enforce.')
    .tags(['immutafs'])
    .time({ from: 'now-24h', to: 'now' })
    .refresh('1m')
    .withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'))
    .withVariable(variable('guest', 'Guest', 'label_values(immutafs_verdict, instance)'))
    .withVariable(variable('domain', 'Domain', 'label_values(immutafs_host_domain_running, domain)'));
  const rows = [
    { title: 'Fleet', panels: fleetPanels() },
    { title: 'Guest $guest', panels: guestPanels() },
    { title: 'Domain $domain, seen by its host', panels: domainPanels() },
  ];
  for (const { title, panels } of rows) {
    built.withRow(new RowBuilder(title));
    for (const panel of panels) built.withPanel(panel.datasource(dataSource));
  }
  return built.build();
}
/* oxlint-enable typescript/no-deprecated */

function variable(name: string, label: string, expression: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(dataSource)
    .query(expression)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.NaturalAsc);
}

function fleetPanels() {
  return [
    stat('Guests by verdict', 12, [query('sum by (verdict) (immutafs_verdict)', '{{verdict}}')]),
    stat('Alerts', 4, [query('count(ALERTS{alertname=~"Immutafs.*", alertstate="firing"}) or vector(0)')], 1),
    stat('Not enforced by the host', 4, [
      query('count(immutafs_enforcement{enforcement="host"} == 0) or vector(0)'),
    ]),
    stat(
      `Entries lost in ${lossWindow}`,
      4,
      [
        query(
          `sum(increase(immutafs_forward_entries_total{outcome=~"lost|corrupt|refused|cut"}[${lossWindow}])) or vector(0)`,
        ),
      ],
      1,
    ),
    timeline('Verdict', 24, [query(verdictNumber(), '{{instance}}')]).mappings([numbers(verdicts, colors)]),
    table('Guests', 24, [
      query('max by (instance, verdict) (immutafs_verdict == 1)'),
      query('max by (instance, enforcement) (immutafs_enforcement == 1)'),
      query('max by (instance) (immutafs_var_used_bytes / immutafs_var_size_bytes)'),
      query('max by (instance) (immutafs_footholds)'),
      query('max by (instance) (immutafs_forward_lag_seconds)'),
      query('max by (instance, version) (immutafs_agent_info)'),
      query('time() - max by (instance) (immutafs_report_timestamp_seconds)'),
    ])
      .transformations(joined())
      .overrideByName('/var used', [{ id: 'unit', value: 'percentunit' }])
      .overrideByName('Forwarding lag', [{ id: 'unit', value: 's' }])
      .overrideByName('Age of the report', [{ id: 'unit', value: 's' }]),
    table('Required checks that do not pass', 24, [
      query('immutafs_check_status{severity="required", status=~"fail|error|warn"}'),
    ]),
  ];
}

/** Returns an expression with the index of the verdict of each guest. */
function verdictNumber(): string {
  const terms = verdicts.map((verdict, index) => `immutafs_verdict{verdict="${verdict}"} * ${index}`);
  return `sum by (instance) (${terms.join(' or ')})`;
}

/** Joins the queries of the table of guests by instance, and names the columns. */
function joined(): DataTransformerConfig[] {
  const letters = ['A', 'B', 'C', 'D', 'E', 'F', 'G'];
  const times = letters.map((_, index) => (index === 0 ? 'Time' : `Time ${index + 1}`));
  const hidden = [...times, 'Time 1', 'Value #A', 'Value #B', 'Value #F'];
  return [
    { id: 'joinByField', options: { byField: 'instance', mode: 'outer' } },
    {
      id: 'organize',
      options: {
        excludeByName: Object.fromEntries(hidden.map((name) => [name, true])),
        renameByName: {
          instance: 'Guest',
          verdict: 'Verdict',
          enforcement: 'Enforced by',
          version: 'Agent',
          'Value #C': '/var used',
          'Value #D': 'Footholds',
          'Value #E': 'Forwarding lag',
          'Value #G': 'Age of the report',
        },
      },
    },
  ];
}

function guestPanels() {
  const byOutcome = `immutafs_forward_entries_total{${ofGuest}}`;
  return [
    stat('Verdict', 6, [query(`immutafs_verdict{${ofGuest}} == 1`, '{{verdict}}')]).textMode(named),
    stat('Mode', 6, [query(`immutafs_mode{${ofGuest}} == 1`, '{{mode}}')]).textMode(named),
    stat('Read-only enforced by', 6, [
      query(`immutafs_enforcement{${ofGuest}} == 1`, '{{enforcement}}'),
    ]).textMode(named),
    stat('Since the last report', 6, [query(`time() - immutafs_report_timestamp_seconds{${ofGuest}}`)]).unit(
      's',
    ),
    table('Checks that do not pass', 12, [
      query(`immutafs_check_status{${ofGuest}, status=~"fail|error|warn"}`),
    ]),
    table('Disks', 12, [query(`immutafs_disk_host_read_only{${ofGuest}}`)]),
    timeseries('/var in memory', 12, [
      query(`immutafs_var_used_bytes{${ofGuest}}`, 'used'),
      query(`immutafs_var_size_bytes{${ofGuest}}`, 'limit'),
    ]).unit('bytes'),
    timeseries('Inodes of /var in memory', 12, [
      query(`immutafs_var_inodes_used{${ofGuest}}`, 'used'),
      query(`immutafs_var_inodes{${ofGuest}}`, 'limit'),
    ]),
    timeseries('Time until /var is full', 12, [
      query(`immutafs_var_full_seconds{${ofGuest}}`, 'at the present rate'),
    ]).unit('s'),
    timeseries('Remaining attack surface', 12, [
      query(`immutafs_footholds{${ofGuest}}`, 'footholds'),
      query(`immutafs_foreign_programs{${ofGuest}}`, 'foreign programs'),
      query(`immutafs_impostors{${ofGuest}}`, 'impostors'),
    ]),
    timeseries('Forwarded entries', 12, [query(`rate(${byOutcome}[$__rate_interval])`, '{{outcome}}')]).unit(
      'cps',
    ),
    timeseries('Forwarding lag', 12, [
      query(`immutafs_forward_lag_seconds{${ofGuest}}`, 'lag'),
      query(
        `time() - immutafs_forward_last_ack_timestamp_seconds{${ofGuest}}`,
        'since the last acknowledgement',
      ),
    ]).unit('s'),
    timeseries('Log files: not acknowledged', 12, [
      query(`immutafs_forward_file_behind_bytes{${ofGuest}}`, '{{file}}'),
    ]).unit('bytes'),
    timeseries('Log files: lost', 12, [
      query(`increase(immutafs_forward_file_lost_bytes_total{${ofGuest}}[${lossWindow}])`, '{{file}}'),
    ]).unit('bytes'),
  ];
}

function domainPanels() {
  return [
    stat('Running', 4, [query(`immutafs_host_domain_running{${ofDomain}}`)]),
    stat('Differences', 4, [query(`immutafs_host_differences{${ofDomain}}`)], 1),
    stat('The guest answers', 4, [query(`immutafs_host_guest_answers{${ofDomain}}`)]),
    stat('The guest claims', 6, [query(`immutafs_host_guest_verdict{${ofDomain}}`, '{{verdict}}')]).textMode(
      named,
    ),
    stat('Since the report of the guest', 6, [
      query(`time() - immutafs_host_guest_report_timestamp_seconds{${ofDomain}}`),
    ]).unit('s'),
    table('Read-only: libvirt, QEMU, the next start', 12, [
      query(`immutafs_host_disk_read_only{${ofDomain}}`),
    ]),
    table('Read-only: as the guest claims', 12, [query(`immutafs_host_guest_disk_read_only{${ofDomain}}`)]),
  ];
}
