/**
 * Scripts an outage of guests and of a host, in which a real Prometheus fires every alert and resolves it. The
 * expressions are those of monitoring/alerts.yml; only durations of minutes and more are shortened to seconds. That the
 * original durations have the intended effect is tested with promtool (alerts.test.ts).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Alert, guestAlerts, hostAlerts, lossWindow } from '../../monitoring/alerts.ts';
import { ruleFile } from '../../monitoring/rules.ts';
import { documented } from '../../monitoring/runbook.ts';
import { documentedChecks } from '../../agent/checks/documented.ts';
import { guestMetrics, hostMetrics, sealedDomain, withValue } from './fleet.ts';
import { type FiringAlert, type Monitoring, until, withPrometheus } from './prometheus.ts';

const outage = suite('every alert fires in an outage, and resolves');

/** Seconds in place of the hour within which losses are shown. */
const lossSeconds = 8;

function shortened(alert: Alert): Alert {
  return { ...alert, for: '1s', expr: alert.expr.replaceAll(lossWindow, `${lossSeconds}s`) };
}

const now = () => Date.now() / 1000;
const old = () => now() - 3600;

/** Every guest sealed, with the present time, and a host that sees the same. */
async function healthy({ write }: Monitoring): Promise<void> {
  const metrics = await guestMetrics();
  for (const name of ['failing', 'growing', 'opened', 'silent', 'stuck']) write(name, metrics);
  write('host', hostMetrics([sealedDomain(), { ...sealedDomain(), name: 'hung' }]));
  write('other-host', hostMetrics([sealedDomain()]));
}

/** What happens to each machine. */
async function breakEverything({ write }: Monitoring): Promise<void> {
  write('failing', await guestMetrics({ failed: true, ownFlag: true }));
  const forwarder = { state: 'waiting' as const, error: 'connection refused' };
  write('growing', await guestMetrics({ growth: 15_000, lostEntries: 3, forwarder, database: true }));
  const opened = await guestMetrics({ mode: 'maintenance' });
  write('opened', withValue(opened, 'immutafs_agent_version_number', 1));
  write('silent', undefined);
  write('stuck', withValue(await guestMetrics(), 'immutafs_report_timestamp_seconds', old()));
  const domain = sealedDomain();
  const writable = { next_start: true, libvirt: true, qemu: false };
  const hung = { ...domain, name: 'hung', error: true, answers: false, claim: null, differences: null };
  const opposed = {
    ...domain,
    disks: { vda: writable },
    differences: ['the guest reports vda as read-only'],
  };
  write('host', hostMetrics([opposed, hung]));
  write('other-host', hostMetrics([domain], old()));
}

/** The machine or the domain that each alert names. */
const expected = [
  'ImmutafsAgentBehind opened',
  'ImmutafsCheckFailed failing host-enforced',
  'ImmutafsCheckFailed failing mtab-link',
  'ImmutafsEnforcementLost failing',
  'ImmutafsForwardingDown growing',
  'ImmutafsForwardingLoses growing',
  'ImmutafsHostEnforcementLost guest',
  'ImmutafsHostGuestDiffer guest',
  'ImmutafsHostGuestSilent hung',
  'ImmutafsHostMetricsOld other-host',
  'ImmutafsHostQueryFailed hung',
  'ImmutafsMaintenanceLong opened',
  'ImmutafsNotSealed failing',
  'ImmutafsReportAbsent silent',
  'ImmutafsReportOld stuck',
  'ImmutafsStateLost growing',
  'ImmutafsVarFull growing',
];

function nameOf({ labels }: FiringAlert): string {
  const { alertname, instance, domain, check = '' } = labels;
  return `${alertname} ${domain ?? instance} ${check}`.trim();
}

outage('each alert names its machine, has its texts, and ends with the outage', () =>
  withPrometheus(
    [
      ...['failing', 'growing', 'opened', 'silent', 'stuck'].map((name) => ({ name, job: 'immutafs' })),
      ...['host', 'other-host'].map((name) => ({ name, job: 'hosts' })),
    ],
    ruleFile(shortened),
    async (monitoring) => {
      const names = async () => [...new Set((await monitoring.alerts()).map(nameOf))].sort();
      const settle = async (what: string, wanted: readonly string[]) => {
        await until(what, async () => (await names()).join() === wanted.join(), 40).catch(
          async (error: unknown) => {
            assert.equal(await names(), wanted, String(error));
          },
        );
      };
      await healthy(monitoring);
      await settle('no alert fires', []);
      await until('the losses have a sample before the outage', async () => {
        const samples = await monitoring.query(`immutafs_forward_entries_total offset ${lossSeconds + 2}s`);
        return samples.length > 0;
      });
      assert.equal(await names(), [], 'after more than ten seconds');
      await breakEverything(monitoring);
      await settle('every alert fires', expected);
      assertTexts(await monitoring.alerts());
      await healthy(monitoring);
      await settle('every alert is resolved', []);
    },
  ),
);

outage('the outage includes every alert', () => {
  const fired = new Set(expected.map((each) => each.split(' ')[0]));
  assert.equal([...fired].sort(), [...guestAlerts, ...hostAlerts].map(({ name }) => name).sort());
});

/** Asserts that the templates are filled in, and that a failed check brings its own documentation. */
function assertTexts(alerts: readonly FiringAlert[]): void {
  for (const { labels, annotations } of alerts) {
    for (const text of [annotations['summary'], annotations['description'], annotations['runbook']]) {
      assert.ok(text !== undefined && text !== '', labels['alertname']);
      assert.not.match(text, /\{\{|<no value>|<error/);
    }
    assert.match(annotations['summary'] ?? '', labels['domain'] ?? labels['instance'] ?? '?');
    const { check } = labels;
    if (check !== undefined) assert.is(annotations['runbook']?.trim(), documented(documentedChecks, check));
  }
}

outage.run();
