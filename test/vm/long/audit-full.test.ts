import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { untilState, withForwardingGuest } from '../harness/forwarding-guest.ts';
import type { LogServer } from '../harness/log-server.ts';
import { type Boot, assertNothingFailed, checkOf, look, statusOf } from '../harness/scenario.ts';

/** docs/log-server.md describes the results. */
const full = suite('auditd while the upper layer of /var is full');

const signal = (name: string) => `systemctl kill --kill-who=main --signal=${name} auditd.service && sleep 1`;
/** More records than fit into the rest of the last page of the log. */
const count = 40;
const records = (text: string) => `for i in $(seq ${count}); do auditctl -m ${text}; done && sleep 2`;

/** Returns the steps that fill /var, free the space, and make auditd resume logging, with records at each time. */
function phases(name: string): Record<string, string> {
  return {
    [`${name}-full`]: `dd if=/dev/zero of=/var/fill bs=1M; dd if=/dev/zero of=/var/rest bs=1k; ${records(`${name}-full`)}`,
    [`${name}-status`]: look.status,
    [`${name}-freed`]: `rm /var/fill /var/rest && ${records(`${name}-freed`)}`,
    [`${name}-resumed`]: `${signal('USR2')} && ${records(`${name}-resumed`)}`,
    [`${name}-lost`]: 'auditctl -s | grep "^lost"',
  };
}

/** Replaces a file in /etc of the sealed guest, as if it had been changed before the guest was sealed. */
const replace = (file: string, script: string) =>
  `sed '${script}' ${file} >/run/changed && install -m 0640 /run/changed ${file.replace(/.*\//, '/run/')} && ! cmp -s /run/changed ${file} && mount --bind ${file.replace(/.*\//, '/run/')} ${file}`;

const configuration = '/etc/audit/auditd.conf';
const actions = '^\\(space_left_action\\|admin_space_left_action\\|disk_full_action\\) =';
const steps = {
  connected: untilState('connected'),
  ...phases('default'),
  configure: `${replace(configuration, `s/${actions}.*/\\1 = SYSLOG/`)} && ${signal('HUP')}`,
  ...phases('syslog'),
  plugin: `umount ${configuration} && ${replace('/etc/audit/plugins.d/syslog.conf', 's/^active = no/active = yes/')} && ${signal('HUP')}`,
  ...phases('plugin'),
  // The mount would make stacked-mounts fail.
  restored: 'umount /etc/audit/plugins.d/syslog.conf',
  ...look,
};

full(
  'SUSPEND loses records until auditd resumes, SYSLOG until space is free, and the syslog plugin loses none',
  () =>
    withForwardingGuest({}, async (start, log) => {
      log.start();
      const boot = await start({ steps });
      for (const step of Object.keys(steps).filter((name) => !name.endsWith('status')))
        assert.is(boot.step(step).exit, 0, `${step}: ${boot.step(step).stderr}`);
      for (const name of ['default', 'syslog', 'plugin']) assertReported(boot, name);
      assert.is(statusOf(boot).report.verdict, 'sealed');
      assertNothingFailed(boot);

      const inTrail = counter(readFileSync(log.auditTrail('guest'), 'utf8').split('\n'));
      for (const [text, expected] of [
        ...[['default-freed', 0] as const, ['default-resumed', count] as const],
        ...[['syslog-freed', count] as const, ['syslog-resumed', count] as const],
        ...[['plugin-freed', 0] as const, ['plugin-resumed', count] as const],
      ])
        assert.is(inTrail(text), expected, text);
      for (const name of ['default', 'syslog', 'plugin'])
        assert.ok(inTrail(`${name}-full`) < count, `${name}: ${inTrail(`${name}-full`)} records`);
      assertJournal(log);
    }),
);

/** Asserts what shows that records are lost: the usage of /var, but neither the kernel's counter nor the forwarder's. */
function assertReported(boot: Boot, name: string): void {
  const { report } = statusOf(boot, `${name}-status`);
  assert.is(checkOf(report, 'var-usage').status, 'fail', name);
  assert.is(checkOf(report, 'audit-forwarded').status, 'pass', name);
  assert.equal(
    report.forward?.sources.map(({ lostBytes }) => lostBytes),
    [0],
    name,
  );
  assert.is(boot.step(`${name}-lost`).stdout, 'lost 0\n', name);
}

/** Asserts that the journal has auditd's own messages, and all records while the plugin was active. */
function assertJournal({ stored }: LogServer): void {
  const entries = stored('guest').filter(({ data }) => 'cursor' in data);
  const said = entries.filter(({ app }) => app === 'auditd').map(({ text }) => text);
  assert.ok(said.some((text) => /^Audit daemon is suspending logging due to no space left/.test(text)));
  assert.ok(said.some((text) => /^Audit daemon has no space left on logging partition/.test(text)));
  const fromPlugin = counter(entries.filter(({ app }) => app === 'audisp-syslog').map(({ text }) => text));
  for (const text of ['plugin-full', 'plugin-freed', 'plugin-resumed'])
    assert.is(fromPlugin(text), count, text);
}

const counter = (lines: string[]) => (text: string) =>
  lines.filter((line) => line.includes(`text=${text} `)).length;

full.run();
