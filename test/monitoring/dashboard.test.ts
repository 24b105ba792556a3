/** Executes every query of the dashboard in a real Prometheus, which scrapes real node_exporters. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatPrometheus } from '../../agent/report/prometheus.ts';
import { guestAlerts, hostAlerts } from '../../monitoring/alerts.ts';
import { ruleFile } from '../../monitoring/rules.ts';
import { inRoot } from '../../packaging/build/paths.ts';
import { sample } from '../harness/sample-report.ts';
import { guestMetrics, hostMetrics, sealedDomain } from './fleet.ts';
import { type Monitoring, until, withPrometheus } from './prometheus.ts';

/** The parts of a dashboard that Grafana reads. */
interface Panel {
  type: string;
  title: string;
  targets?: { expr: string; refId: string }[];
  panels?: Panel[];
}
interface Dashboard {
  panels: Panel[];
  templating: { list: { name: string; type: string; query: string }[] };
}

const dashboard = JSON.parse(fs.readFileSync(inRoot('monitoring/dashboard.json'), 'utf8')) as Dashboard;
const panels = dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
const targets = panels.flatMap(({ title, targets: queries = [] }) =>
  queries.map(({ expr, refId }) => ({ title: `${title} ${refId}`, expr })),
);

/** Replaces the variables of Grafana. */
function filledIn(expr: string, guest: string): string {
  const filled = expr
    .replaceAll('$__rate_interval', '1m')
    .replaceAll('$guest', guest)
    .replaceAll('$domain', guest === 'nothing' ? guest : 'guest');
  assert.not.match(filled, /\$/);
  return filled;
}

/** Asserts that every query has data, and that a query about one guest has none for a guest that does not exist. */
async function assertData({ query }: Monitoring): Promise<void> {
  for (const { title, expr } of targets) {
    assert.ok((await query(filledIn(expr, 'sealed'))).length > 0, `${title} has data: ${expr}`);
    if (expr.includes('$'))
      assert.equal(await query(filledIn(expr, 'nothing')), [], `${title} selects the guest: ${expr}`);
  }
}

/** Asserts that the lists of guests and domains to choose from are complete. */
async function assertVariables({ labelValues }: Monitoring): Promise<void> {
  const found: Record<string, string[]> = {};
  for (const { name, type, query: expression } of dashboard.templating.list) {
    if (type !== 'query') continue;
    const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(expression) ?? [];
    found[name] = await labelValues(metric, label);
  }
  assert.equal(found, { guest: ['failed', 'sealed'], domain: ['guest'] });
}

const run = suite('the dashboard in a real Prometheus');

run('every query has data, the variables list the guests, and a verdict has its number', () =>
  withPrometheus(
    [
      { name: 'sealed', job: 'immutafs' },
      { name: 'failed', job: 'immutafs' },
      { name: 'host', job: 'hosts' },
    ],
    ruleFile(),
    async (monitoring) => {
      const { write, query } = monitoring;
      write('sealed', await guestMetrics({ growth: 10_000 }));
      write('failed', await guestMetrics({ failed: true }));
      write('host', hostMetrics([sealedDomain()]));
      await until('two samples of each target', async () => {
        const samples = await query(
          'count_over_time(immutafs_verdict{verdict="sealed"}[1m]) > 1 or count_over_time(immutafs_host_differences[1m]) > 1',
        );
        return samples.length === 3;
      });
      await assertData(monitoring);
      await assertVariables(monitoring);
      const timeline = panels.find(({ type }) => type === 'state-timeline')?.targets?.[0]?.expr ?? '';
      const numbers = (await query(timeline)).map(({ metric, value }) => [metric['instance'], value[1]]);
      assert.equal(Object.fromEntries(numbers), { sealed: '0', failed: '6' });
      const errors = await query('node_textfile_scrape_error == 1');
      assert.equal(errors, [], 'node_exporter reads every file');
    },
  ),
);

run('every panel has a title, a query for each letter and a place', () => {
  assert.ok(targets.length > 30, `${targets.length}`);
  for (const { type, title, targets: queries = [] } of panels) {
    assert.ok(title !== '', type);
    if (type !== 'row') assert.ok(queries.length > 0, title);
    assert.is(new Set(queries.map(({ refId }) => refId)).size, queries.length, title);
  }
});

run('promtool accepts the metrics of guests and hosts', async () => {
  for (const input of [
    await guestMetrics({ growth: 10_000, lostEntries: 3 }),
    await guestMetrics({ mode: 'maintenance' }),
    hostMetrics([sealedDomain(), { ...sealedDomain(), name: 'a"b\\c\nd' }]),
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input,
      encoding: 'utf8',
    });
    assert.equal([status, stdout, stderr], [0, '', '']);
  }
});

run('docs/monitoring.md lists every metric and every alert, and no other', async () => {
  const text = fs.readFileSync(inRoot('docs/monitoring.md'), 'utf8');
  const none = { options: [], reason: '', lower: null, upper: null };
  const rare = formatPrometheus({
    ...sample,
    overlays: [{ ...none, target: '/opt', state: 'overlay' }],
    scratch: [{ path: '/var/cache', options: [], state: 'disk', reason: '' }],
    rehearsal: { limitSeconds: 1800, endsAt: sample.at },
    image: { name: 'web', version: '1', built: sample.at },
  });
  const samples = [await guestMetrics({ growth: 10_000 }), hostMetrics([sealedDomain()]), rare];
  const written = samples.join('\n').matchAll(/^# TYPE (\S+)/gm);
  const listed = text.matchAll(/^\| (`immutafs_.*?) \|/gm);
  const names = [...listed].flatMap(([, cell = '']) => cell.replaceAll('`', '').split(', '));
  assert.equal(names.sort(), [...new Set([...written].map(([, name = '']) => name))].sort());
  const alerts = [...text.matchAll(/^\| (Immutafs\w+) \| (\w+) \|/gm)].map(([, name, severity]) => [
    name,
    severity,
  ]);
  assert.equal(
    alerts,
    [...guestAlerts, ...hostAlerts].map(({ name, severity }) => [name, severity]),
  );
});

run.run();
