import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ForwardSource, ForwardState } from '../../../agent/facts/forwarder.ts';
import { auditdText } from '../../harness/auditd.ts';
import { type Change, all, config, file, nothing, uptime } from '../../harness/changes.ts';
import { findingOf, inEach, testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

const target = 'relp://log.example:2514';
const forwards = config(`FORWARD=${target}\n`);
/** The time of the guest's clock. */
const now = Date.parse('2026-03-04T05:06:07.089Z');
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const counts = { acknowledged: 9, repeated: 1, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 };
const state: ForwardState = {
  ...{ target, state: 'connected', since: ago(90), at: ago(5), pid: 42, lastAckAt: ago(5) },
  ...{ lag: { entries: 0, seconds: 0 }, counts, sources: [], lostFiles: 0, error: '' },
};
const stateFile = 'run/immutafs/forward/state.json';
/** The forwarder has recorded a state, and the guest has run for 1000 s. */
const says = (changes: Record<string, unknown>, pid = '42'): Change =>
  all(
    ...[uptime(1000), forwards, file(stateFile, JSON.stringify({ ...state, ...changes }))],
    file(`proc/${pid}/comm`, 'immutafs-agent\n'),
  );
const counted = (changes: Partial<typeof counts>) => says({ counts: { ...counts, ...changes } });
const waiting = (seconds: number) => ({ state: 'waiting', since: ago(seconds), error: 'refused' });

testFindings('forward-healthy', {
  'without FORWARD the state is not read': [says({ state: 'stopped' }), config(''), 'skip'],
  'not started, early': [forwards, uptime(299), 'warn: not started in this boot'],
  'not started, late': [forwards, uptime(300), 'fail: not started in this boot'],
  connected: [says({}), `pass: connected to ${target}`],
  'the process is gone, early': [says({}, '43'), uptime(299), 'warn: not running'],
  'the process is gone, late': [says({}, '43'), uptime(300), 'fail: not running'],
  stopped: [says({ state: 'stopped', error: 'no key' }), uptime(300), 'fail: not running: no key'],
  'connected, but the journal cannot be read': [
    says({ error: 'journalctl ended: no' }),
    'warn: connected, but journalctl ended: no',
  ],
  'the last report is recent enough': [says({ at: ago(180) }), 'pass: connected'],
  'the last report is too old': [says({ at: ago(181) }), 'fail: has not reported for 181 s'],
  waiting: [says(waiting(299)), 'warn: not connected for 299 s: refused'],
  'waiting too long': [says(waiting(300)), 'fail: not connected for 300 s'],
  'connecting too long': [says({ state: 'connecting', since: ago(300) }), 'fail: not connected'],
  'a small lag': [says({ lag: { entries: 5, seconds: 300 } }), 'pass: connected'],
  'a large lag': [says({ lag: { entries: 5, seconds: 301 } }), 'warn: 301 s behind'],
  'an unknown lag': [says({ lag: { entries: null, seconds: null } }), 'pass: connected'],
  'repeated entries are not lost': [counted({ repeated: 7 }), 'pass: connected'],
  lost: [
    counted({ lost: 3 }),
    'warn: connected, but 3 entries removed from the journal before they were sent',
  ],
  corrupt: [counted({ corrupt: 3 }), 'warn: connected, but 3 entries unreadable in the journal'],
  refused: [counted({ refused: 3 }), 'warn: connected, but 3 entries refused by the server'],
  cut: [counted({ cut: 3 }), 'warn: connected, but 3 entries truncated because they were too long'],
  suppressed: [counted({ suppressed: 3 }), 'warn: connected, but 3 entries suppressed by journald'],
  'a log file that was removed': [
    says({ lostFiles: 2 }),
    'warn: connected, but 2 log files removed before they were read',
  ],
  'no log file removed, or a forwarder that does not count them': [
    says({ lostFiles: undefined }),
    'pass: connected',
  ],
  'a state that is not an object': [
    all(says({}), file(stateFile, 'null')),
    'error: state.json: the object is missing or invalid',
  ],
});
const malformed: Record<string, Record<string, unknown>> = {
  'a negative count': { counts: { ...counts, lost: -1 } },
  'a count that is no whole number': { counts: { ...counts, lost: 0.5 } },
  'no counts': { counts: undefined },
  'a state that there is not': { state: 'happy' },
  'a time that is none': { at: 'now' },
  'a target that is too long': { target: 'x'.repeat(2000) },
  'a process that is none': { pid: '42' },
  'a lag that is none': { lag: { entries: 1, seconds: 'few' } },
};
testFindings(
  'forward-healthy',
  inEach(Object.keys(malformed), (title) => [
    says(malformed[title] ?? {}),
    /^error: .*state\.json: \S+ is missing or invalid$/,
  ]),
);

const log = '/var/log/audit/audit.log';
const source: ForwardSource = { path: log, acknowledgedBytes: 9, behindBytes: 0, lostBytes: 0, error: '' };
const reads = (...sources: Partial<ForwardSource>[]): Change =>
  says({ sources: sources.map((each) => ({ ...source, ...each })) });
const auditd = all(file('run/auditd.pid', '77\n'), file('proc/77/comm', 'auditd\n'));
const settings = (changes: Record<string, string>) =>
  all(auditd, file('etc/audit/auditd.conf', auditdText(changes)));
const journal = file('run/systemd/units/invocation:systemd-journald-audit.socket', { linkTo: 'ad4f' });
const denied = { error: `${log}: permission denied` };
const stopped = says({ sources: [source], state: 'stopped', error: 'no key' });
const gone = all(reads({}), file('proc/42/comm', undefined));

testFindings('audit-forwarded', {
  'no auditd': [nothing, 'skip: auditd does not run'],
  'an auditd without a log file': [settings({ write_logs: 'no' }), 'skip: auditd writes no log file'],
  'a trail in the journal': [auditd, journal, forwards, 'pass: in the journal'],
  'a trail that is forwarded': [
    all(auditd, reads({ path: '/var/log/other.log', ...denied }, {})),
    /^pass: forwarded$/,
  ],
  'a trail with another name that is forwarded': [
    all(settings({ log_file: '/srv/a.log' }), reads({ path: '/srv/a.log' })),
    /^pass: forwarded$/,
  ],
  'no FORWARD': [auditd, ['warn: not forwarded, because FORWARD is empty', 'Set FORWARD']],
  'a forwarder that has not started': [
    all(auditd, forwards, uptime(1000)),
    ['warn: has not started in this boot', 'Check again'],
  ],
  'a forwarder that does not read the file': [
    all(auditd, reads({ path: '/var/log/audit/other.log' })),
    ['fail: does not read it', `Add ${log} to FORWARD_FILES`],
  ],
  'a forwarder that was not connected yet': [
    all(auditd, says({ state: 'waiting' }), uptime(300)),
    ['fail: has not been connected', 'forward --test'],
  ],
  'a forwarder that was not connected yet, early': [
    all(auditd, says({ state: 'connecting' }), uptime(299)),
    ['warn: has not been connected', 'forward --test'],
  ],
  'a forwarder that has lost its connection': [
    all(auditd, says({ state: 'waiting', sources: [source] })),
    /^pass: forwarded$/,
  ],
  'a forwarder that may not read the file': [
    all(auditd, reads(denied)),
    [`fail: cannot read it: ${denied.error}`, 'prepare --only audit --apply'],
  ],
  'a forwarder that stopped': [
    all(auditd, stopped, uptime(300)),
    [/^fail: the forwarder is not running: no key$/, 'systemctl status'],
  ],
  'a forwarder whose process is gone': [
    all(auditd, gone, uptime(300)),
    [/^fail: the forwarder is not running$/, 'systemctl status'],
  ],
  'a forwarder whose process is gone, early': [
    all(auditd, gone, uptime(299)),
    ['warn: not running', 'systemctl status'],
  ],
  'a state that is malformed': [auditd, reads({ lostBytes: -1 }), 'error: is missing or invalid'],
  'a configuration of auditd that cannot be read': [
    all(auditd, forwards, file('etc/audit/auditd.conf', { linkTo: 'auditd.conf' })),
    'error: auditd.conf',
  ],
});
testFindings(
  'audit-forwarded: in maintenance, where /var is on disk',
  {
    'a file that is not read': [auditd, reads(), 'warn'],
    'an unreadable file': [auditd, reads(denied), 'warn'],
    'a forwarder that does not run': [auditd, stopped, 'warn: the forwarder is not running'],
  },
  { guest: maintenanceGuest },
);

const verdict = suite('audit-forwarded: the verdict');
verdict('a sealed guest that loses its trail is not good', async () => {
  const lost = await findingOf('audit-forwarded', all(auditd, reads(denied)));
  const kept = await findingOf('audit-forwarded', all(auditd, reads({})));
  assert.is.not(lost.verdict, kept.verdict);
});
verdict.run();

testFindings('forward-encrypted', {
  'nothing is forwarded': [config(''), 'skip: FORWARD is empty'],
  'every server has TLS': [
    config('FORWARD=relp+tls://a:2514 syslog+tls://b journal+https://c\n'),
    'pass: TLS',
  ],
  ...inEach(
    ['relp://a:2514', 'syslog+tcp://a', 'syslog+udp://a', 'journal+http://a', 'relp://localhost:2515'],
    (server) => [config(`FORWARD=${server}\n`), 'warn: logs are sent unencrypted'],
  ),
  'one server without TLS beside one with it': [
    config('FORWARD=relp+tls://a:2514 syslog+udp://b\n'),
    'fail: logs are sent unencrypted',
  ],
  'a TLS key, and a server without TLS': [
    config('FORWARD=relp://a:2514\nFORWARD_CA=/etc/immutafs/ca.pem\n'),
    'fail: logs are sent unencrypted',
  ],
  'a program in this guest': [config('FORWARD=relp://127.0.0.1:2515\n'), 'skip: a program in this guest'],
  'a program in this guest, by IPv6, beside a server with TLS': [
    config('FORWARD=syslog+tcp://[::1] relp+tls://b:2514\n'),
    'skip: a program in this guest',
  ],
  'a name that begins like the address of this guest': [
    config('FORWARD=relp://127.0.0.1.example:2515\n'),
    'warn: logs are sent unencrypted',
  ],
  'a forwarder that was started with another configuration': [
    all(says({ target: 'syslog+udp://old' }), config('FORWARD=relp+tls://a:2514\n')),
    'fail: logs are sent unencrypted',
  ],
  'a forwarder that no longer runs': [
    all(says({ target: 'syslog+udp://old', state: 'stopped' }), config('FORWARD=relp+tls://a:2514\n')),
    'pass: TLS',
  ],
  'a configuration with which the forwarder does not start': [
    config('FORWARD=relp://a:2514 nonsense\n'),
    'skip: the forwarder does not start',
  ],
  'a state that is malformed': [all(says({}), file(stateFile, 'null')), 'error: state.json'],
});

const encryption = suite('forward-encrypted: the verdict');
encryption('plain text that nobody asked to encrypt is advisory; a failover from TLS is not', async () => {
  const severityOf = async (servers: string) => {
    const { severity } = await findingOf('forward-encrypted', config(`FORWARD=${servers}\n`));
    return severity;
  };
  assert.is(await severityOf('syslog+udp://a'), 'advisory');
  assert.is(await severityOf('relp+tls://a:2514 syslog+udp://b'), 'required');
});
encryption.run();

const mode = (text: string) => file('proc/sys/crypto/fips_enabled', text);
const forward = (servers: string): Change => config(`FORWARD=${servers}\n`);

testChanges('fips-tls', {
  'FIPS mode and a server with TLS': [
    all(mode('1\n'), forward('relp+tls://log.example.com:2514')),
    {
      'fips-tls': 'warn: outside the validated module',
      'forward-healthy': 'warn',
      'forward-encrypted': 'pass',
    },
  ],
});
testFindings('fips-tls', {
  'no FIPS mode': [mode('0\n'), forward('syslog+tls://log'), 'pass: not in FIPS mode'],
  'a kernel without FIPS support': [forward('relp+tls://log:2514'), 'pass: not in FIPS mode'],
  'FIPS mode and no server': [mode('1\n'), 'pass: the agent uses no TLS'],
  'FIPS mode and stunnel on the loopback interface': [
    all(mode('1\n'), forward('relp://127.0.0.1:2514')),
    'pass: the agent uses no TLS',
  ],
  'FIPS mode, and TLS only for the second server': [
    all(mode('1\n'), forward('relp://127.0.0.1:2514 journal+https://log')),
    'warn',
  ],
  'FIPS mode and syslog with TLS': [mode('1\n'), forward('syslog+tls://log'), 'warn'],
  'an unknown value': [mode('2\n'), forward('syslog+tls://log'), "error: contains '2'"],
});
