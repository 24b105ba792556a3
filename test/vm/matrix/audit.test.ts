import { readFileSync } from 'node:fs';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { denialsStep } from '../harness/denials.ts';
import { assertWholeBoot, untilState, withForwardingGuest } from '../harness/forwarding-guest.ts';
import type { LogServer } from '../harness/log-server.ts';
import { assertFailing, assertSealed, checkOf, enforcing, look, statusOf } from '../harness/scenario.ts';
import type { Boot } from '../harness/scenario.ts';

const audit = suite('a sealed guest forwards the audit trail');

const connected = untilState('connected');
const session = 'su -s /bin/sh -c true alice';
const auditLog = '/var/log/audit/audit.log';

audit(
  'SELinux enforcing: the server has the trail as auditd wrote it, across a rotation; ausearch reads it',
  () =>
    withForwardingGuest({}, async (start, log) => {
      log.start();
      const steps = {
        connected,
        rule: 'auditctl -w /etc/passwd -p wa -k identity',
        write: 'touch /etc/passwd',
        before: `${session} && auditctl -m before`,
        rotate: `systemctl kill --kill-who=main --signal=USR1 auditd.service && until test -e ${auditLog}.1; do sleep 0.1; done`,
        after: 'auditctl -m after && sleep 2',
        forged: 'logger --tag audit "type=USER_LOGIN msg=audit(1.1:1): forged"',
        trail: `cat ${auditLog}.1 ${auditLog}`,
        denials: denialsStep.replace(auditLog, `${auditLog}.1 ${auditLog}`),
        ...look,
      };
      const boot = await start({ arguments: enforcing, steps });
      for (const step of ['connected', 'rule', 'before', 'rotate', 'after', 'forged'])
        assert.is(boot.step(step).exit, 0, step);
      for (const id of ['forward-healthy', 'audit-forwarded'])
        assert.is(checkOf(assertSealed(boot), id).status, 'pass', id);
      const denials = boot.step('denials').stdout;
      assert.match(denials, 'denied', 'the denials were collected');
      assert.not.match(denials, /auditd_log_t|immutafs|comm="(node|journalctl)"/);
      assertWholeBoot(boot, log);
      assertTrail(boot, log);
      await assertSearchable(log.auditTrail('guest'));
    }),
);

/** Asserts that the server's copy begins with the guest's logs, and where the server received the records from. */
function assertTrail(boot: Boot, log: LogServer): void {
  const trail = boot.step('trail').stdout;
  assert.match(trail, '\x1dUID="root"', 'auditd adds names');
  assert.is(readFileSync(log.auditTrail('guest'), 'utf8').slice(0, trail.length), trail);
  const records = log.stored('guest').filter(({ data }) => data['path'] === auditLog);
  assert.ok(records.length > 0);
  assert.is(new Set(records.map(({ data }) => `${data['inode']} ${data['offset']}`)).size, records.length);
  assert.is(new Set(records.map(({ data }) => data['inode'])).size, 2, 'the log and the rotated log');
  // Facility 13 (log audit), severity 6 (informational); MSGID is the type.
  assert.equal([...new Set(records.map(({ priority, app }) => `${priority} ${app}`))], ['110 audit']);
  const forged = log.stored('guest').filter(({ app, text }) => app === 'audit' && text.includes('forged'));
  assert.is(forged.length, 1, 'a process can log to the journal as audit');
  assert.not.match(readFileSync(log.auditTrail('guest'), 'utf8'), 'forged');
  const opened = records.filter(({ id }) => id === 'USER_START');
  assert.is(opened.length, 1);
  assert.match(opened[0]?.text ?? '', /^type=USER_START .*acct="alice"/);
}

/** Asserts that ausearch finds the session of a user and an attempt to write a watched file. */
async function assertSearchable(trail: string): Promise<void> {
  const search = async (...words: string[]) =>
    (await execa('ausearch', ['--interpret', '--input', trail, ...words], { stdin: 'ignore' })).stdout;
  assert.match(
    await search('--message', 'USER_START'),
    /op=PAM:session_open .*acct=alice exe=\/usr\/bin\/su .*res=success/,
  );
  const attempt = await search('--key', 'identity', '--success', 'no');
  assert.match(attempt, /exit=EROFS.* comm=touch .*key=identity/);
  assert.match(attempt, /type=PATH .*name=\/etc\/passwd /);
  // The names are those of the guest, which the server does not know.
  const times = [/text=before /, /text=after /].map((text) => text.test(readFileSync(trail, 'utf8')));
  assert.equal(times, [true, true]);
}

audit('log_group = root: the check fails and names the command that fixes it in a maintenance boot', () =>
  withForwardingGuest({ logGroup: 'root' }, async (start, log) => {
    log.start();
    const unreadable = await start({ steps: { connected, ...look } });
    assertFailing(unreadable, 'status', ['audit-forwarded']);
    const { observed, remedy } = checkOf(statusOf(unreadable).report, 'audit-forwarded');
    assert.match(observed, /cannot read it: .*permission denied/i);
    assert.match(remedy, 'immutafs-agent prepare --only audit --apply');
    assertWholeBoot(unreadable, log);
    assert.equal(recordsOf(log), []);

    const readable = `for i in $(seq 60); do ${look.status} | tr -d ' \\n' | grep -q '"lostBytes":0,"error":""' && exit 0; done; exit 1`;
    const apply = 'immutafs-agent prepare --only audit --apply --yes';
    const steps = {
      connected,
      apply,
      readable,
      group: 'grep ^log_group /etc/audit/auditd.conf',
      rest: 'immutafs-agent prepare --only audit',
    };
    const maintenance = await start({ disk: 'writable', steps });
    for (const step of Object.keys(steps))
      assert.is(
        maintenance.step(step).exit,
        0,
        `${step}: ${maintenance.step(step).stdout} ${maintenance.step(step).stderr}`,
      );
    assert.is(maintenance.step('group').stdout, 'log_group = immutafs-forward\n');

    const before = recordsOf(log).length;
    const sealed = await start({ steps: { connected, session, ...look } });
    assert.is(checkOf(assertSealed(sealed), 'audit-forwarded').status, 'pass');
    assert.ok(
      recordsOf(log)
        .slice(before)
        .some(({ id }) => id === 'USER_START'),
    );
  }),
);

const recordsOf = (log: LogServer) =>
  log.stored('guest').filter(({ app, data }) => app === 'audit' && 'path' in data);

audit.run();
