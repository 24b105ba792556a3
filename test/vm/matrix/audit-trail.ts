import { execa } from 'execa';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { untilContains } from '../harness/forwarding-guest.ts';
import type { Received } from '../harness/log-server.ts';
import type { Boot } from '../harness/scenario.ts';

const auditLog = '/var/log/audit/audit.log';

/** A session of a user, for which auditd records USER_START. */
export const session = 'su -s /bin/sh -c true alice';

/** Steps that write records before and after a rotation of the log. */
export const trailSteps = {
  rule: 'auditctl -w /etc/passwd -p wa -k identity',
  write: 'touch /etc/passwd',
  before: `${session} && auditctl -m before`,
  rotate: `systemctl kill --kill-who=main --signal=USR1 auditd.service && until test -e ${auditLog}.1; do sleep 0.1; done`,
  after: `auditctl -m after && ${untilContains(auditLog, 'text=after ')}`,
  forged: 'logger --tag audit "type=USER_LOGIN msg=audit(1.1:1): forged"',
  trail: `cat ${auditLog}.1 ${auditLog}`,
};

/** Asserts that the server's copy begins with the guest's logs, and where the server received the records from. */
export function assertTrail(boot: Boot, { stored, trail: copy }: Received): void {
  for (const step of ['rule', 'before', 'rotate', 'after', 'forged'])
    assert.is(boot.step(step).exit, 0, step);
  const trail = boot.step('trail').stdout;
  assert.match(trail, '\x1dUID="root"', 'auditd adds names');
  assert.is(copy.slice(0, trail.length), trail);
  const records = stored('guest').filter(({ data }) => data['path'] === auditLog);
  assert.ok(records.length > 0);
  assert.is(new Set(records.map(({ data }) => `${data['inode']} ${data['offset']}`)).size, records.length);
  assert.is(new Set(records.map(({ data }) => data['inode'])).size, 2, 'the log and the rotated log');
  // Facility 13 (log audit), severity 6 (informational); MSGID is the type.
  assert.equal([...new Set(records.map(({ priority, app }) => `${priority} ${app}`))], ['110 audit']);
  const forged = stored('guest').filter(({ app, text }) => app === 'audit' && text.includes('forged'));
  assert.is(forged.length, 1, 'a process can log to the journal as audit');
  assert.not.match(copy, 'forged');
  const opened = records.filter(({ id }) => id === 'USER_START');
  assert.is(opened.length, 1);
  assert.match(opened[0]?.text ?? '', /^type=USER_START .*acct="alice"/);
}

/** Asserts that ausearch finds the session of a user and an attempt to write a watched file in the server's copy. */
export const assertSearchable = ({ trail }: Received) =>
  whileTemporaryDirectory(async (folder) => {
    const input = join(folder, 'audit.log');
    writeFileSync(input, trail);
    const search = async (...words: string[]) =>
      (await execa('ausearch', ['--interpret', '--input', input, ...words], { stdin: 'ignore' })).stdout;
    assert.match(
      await search('--message', 'USER_START'),
      /op=PAM:session_open .*acct=alice exe=\/usr\/bin\/su .*res=success/,
    );
    const attempt = await search('--key', 'identity', '--success', 'no');
    assert.match(attempt, /exit=EROFS.* comm=touch .*key=identity/);
    assert.match(attempt, /type=PATH .*name=\/etc\/passwd /);
    // The names are those of the guest, which the server does not know.
    const times = [/text=before /, /text=after /].map((text) => text.test(trail));
    assert.equal(times, [true, true]);
  });

/** The records of the audit trail, without the journal entries of processes that call themselves audit. */
export const recordsOf = ({ stored }: Received) =>
  stored('guest').filter(({ app, data }) => app === 'audit' && 'path' in data);
