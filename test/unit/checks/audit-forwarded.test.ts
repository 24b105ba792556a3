import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../../agent/checks/check.ts';
import type { ForwardSource, ForwardState } from '../../../agent/facts/forwarder.ts';
import { auditdText } from '../../harness/auditd.ts';
import { type Change, all, config, file } from '../../harness/changes.ts';
import { findingOf } from '../../harness/finding.ts';
import { type Guest, maintenanceGuest } from '../../harness/guest.ts';

const log = '/var/log/audit/audit.log';
const target = 'relp://log.example:2514';
const now = '2026-03-04T05:06:07.089Z';
const counts = { acknowledged: 9, repeated: 1, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 };
const source: ForwardSource = { path: log, acknowledgedBytes: 9, behindBytes: 0, lostBytes: 0, error: '' };
const state: ForwardState = {
  ...{ target, state: 'connected', since: now, at: now, pid: 42, lastAckAt: now },
  ...{ lag: { entries: 0, seconds: 0 }, counts, sources: [], error: '' },
};

const auditd = all(file('run/auditd.pid', '77\n'), file('proc/77/comm', 'auditd\n'));
const settings = (changes: Record<string, string>) => file('etc/audit/auditd.conf', auditdText(changes));
const forwards = config(`FORWARD=${target}\n`);
const reports = (changes: Partial<ForwardState>): Change =>
  all(
    file('run/immutafs/forward/state.json', JSON.stringify({ ...state, ...changes })),
    file('proc/42/comm', 'immutafs-agent\n'),
  );
const says = (...sources: Partial<ForwardSource>[]): Change =>
  reports({ sources: sources.map((each) => ({ ...source, ...each })) });
const journal = file('run/systemd/units/invocation:systemd-journald-audit.socket', { linkTo: 'ad4f' });
const denied = { error: `${log}: permission denied` };
const none: Change = () => undefined;

interface Case {
  change: Change;
  status: Status;
  observed: string | RegExp;
  remedy?: string;
  guest?: Guest;
  /** Seconds since the boot. */
  uptime?: number;
}

const cases: Record<string, Case> = {
  'no auditd': { change: none, status: 'skip', observed: 'auditd does not run' },
  'an auditd without a log file': {
    change: all(auditd, settings({ write_logs: 'no' })),
    ...{ status: 'skip', observed: 'auditd writes no log file' },
  },
  'a trail in the journal': {
    change: all(auditd, journal, forwards),
    ...{ status: 'pass', observed: 'in the journal' },
  },
  'a trail that is forwarded': {
    change: all(auditd, forwards, says({ path: '/var/log/other.log', ...denied }, {})),
    ...{ status: 'pass', observed: /^forwarded$/ },
  },
  'a trail with another name that is forwarded': {
    change: all(auditd, settings({ log_file: '/srv/a.log' }), forwards, says({ path: '/srv/a.log' })),
    ...{ status: 'pass', observed: /^forwarded$/ },
  },
  'no FORWARD': {
    change: auditd,
    ...{ status: 'warn', observed: 'not forwarded, because FORWARD is empty', remedy: 'Set FORWARD' },
  },
  'a forwarder that has not started': {
    change: all(auditd, forwards),
    ...{ status: 'warn', observed: 'has not started in this boot', remedy: 'Check again' },
  },
  'a forwarder that does not read the file': {
    change: all(auditd, forwards, says({ path: '/var/log/audit/other.log' })),
    ...{ status: 'fail', observed: 'does not read it', remedy: `Add ${log} to FORWARD_FILES` },
  },
  'a forwarder that was not connected yet': {
    change: all(auditd, forwards, reports({ state: 'waiting' })),
    ...{ status: 'fail', observed: 'has not been connected', remedy: 'forward --test' },
    uptime: 300,
  },
  'a forwarder that was not connected yet, early': {
    change: all(auditd, forwards, reports({ state: 'connecting' })),
    ...{ status: 'warn', observed: 'has not been connected', remedy: 'forward --test' },
    uptime: 299,
  },
  'a forwarder that has lost its connection': {
    change: all(auditd, forwards, reports({ state: 'waiting', sources: [source] })),
    ...{ status: 'pass', observed: /^forwarded$/ },
  },
  'a forwarder that may not read the file': {
    change: all(auditd, forwards, says(denied)),
    ...{
      status: 'fail',
      observed: `cannot read it: ${denied.error}`,
      remedy: 'prepare --only audit --apply',
    },
  },
  'a forwarder that stopped': {
    change: all(auditd, forwards, reports({ sources: [source], state: 'stopped', error: 'no key' })),
    ...{ status: 'fail', observed: /^the forwarder is not running: no key$/, remedy: 'systemctl status' },
    uptime: 300,
  },
  'a forwarder whose process is gone': {
    change: all(auditd, forwards, says({}), file('proc/42/comm', undefined)),
    ...{ status: 'fail', observed: /^the forwarder is not running$/, remedy: 'systemctl status' },
    uptime: 300,
  },
  'a forwarder whose process is gone, early': {
    change: all(auditd, forwards, says({}), file('proc/42/comm', undefined)),
    ...{ status: 'warn', observed: 'not running', remedy: 'systemctl status' },
    uptime: 299,
  },
  'a state that is malformed': {
    change: all(auditd, forwards, says({ lostBytes: -1 })),
    ...{ status: 'error', observed: 'is missing or invalid' },
  },
  'a configuration of auditd that cannot be read': {
    change: all(auditd, forwards, file('etc/audit/auditd.conf', { linkTo: 'auditd.conf' })),
    ...{ status: 'error', observed: 'auditd.conf' },
  },
};

const test = suite('audit-forwarded');
for (const [title, { change, status, observed, remedy, guest, uptime = 1000 }] of Object.entries(cases)) {
  test(`${title}: ${status}`, async () => {
    const finding = await findingOf('audit-forwarded', change, {
      ...(guest === undefined ? {} : { guest }),
      as: (reader) => ({ ...reader, environment: () => ({ ...reader.environment(), seconds: uptime }) }),
    });
    assert.is(finding.status, status, finding.observed);
    assert.match(finding.observed, observed);
    assert.match(finding.remedy, remedy ?? /^$/);
  });
}

for (const sources of [[], [denied]])
  test(`in maintenance, where /var is on disk, ${sources.length === 0 ? 'a missing' : 'an unreadable'} file warns`, async () => {
    const change = all(auditd, forwards, says(...sources));
    const finding = await findingOf('audit-forwarded', change, { guest: maintenanceGuest() });
    assert.is(finding.status, 'warn');
  });

test('in maintenance, a forwarder that does not run warns', async () => {
  const change = all(auditd, forwards, reports({ sources: [source], state: 'stopped' }));
  const finding = await findingOf('audit-forwarded', change, { guest: maintenanceGuest() });
  assert.equal([finding.status, finding.observed], ['warn', 'the forwarder is not running']);
});

test('a sealed guest that loses its trail is not good', async () => {
  const lost = await findingOf('audit-forwarded', all(auditd, forwards, says(denied)));
  const kept = await findingOf('audit-forwarded', all(auditd, forwards, says({})));
  assert.is.not(lost.verdict, kept.verdict);
});

test.run();
