import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { endOfSession, sessionMessages, startOfSession } from '../../../agent/report/session-log.ts';
import type { Fields } from '../../../agent/system/log.ts';
import { aSession } from '../../harness/session-files.ts';

interface Entry {
  level: number;
  message: string;
  fields: Fields;
}

function entryOf(write: (log: (level: number, message: string, fields: Fields) => void) => void): Entry {
  const entries: Entry[] = [];
  write((level, message, fields) => entries.push({ level, message, fields }));
  const [first] = entries;
  assert.is(entries.length, 1);
  return first as Entry;
}

const log = suite('the journal entries of a session');
log('its start', () => {
  const { message, fields } = entryOf((write) => startOfSession(write, aSession));
  assert.is(message, 'Session 1 of alice began with --allow-install, until 2026-03-04 07:00 UTC');
  assert.equal(fields, {
    MESSAGE_ID: sessionMessages.started.messageId,
    ...{ IMMUTAFS_SESSION: '1', IMMUTAFS_USER: 'alice', IMMUTAFS_TERMINAL: 'pts/0', IMMUTAFS_COMMAND: '' },
    ...{ IMMUTAFS_SINCE: aSession.since, IMMUTAFS_UNTIL: aSession.until, IMMUTAFS_ALLOW_INSTALL: 'yes' },
  });
});
const before = new Date('2026-03-04T06:59:59.999Z');
const at = new Date(aSession.until);
for (const [installed, now, text] of [
  [['strace 6.13'], before, 'Session 1 of alice ended; installed: strace 6.13'],
  [[], before, 'Session 1 of alice ended; no package was installed'],
  [null, at, 'Session 1 of alice ended at its time limit; the installed packages are unknown'],
] as const)
  log(text, () => {
    const { message, fields } = entryOf((write) =>
      endOfSession(write, aSession, installed && [...installed], now),
    );
    assert.is(message, text);
    assert.is(fields['MESSAGE_ID'], sessionMessages.ended.messageId);
    assert.is(fields['IMMUTAFS_INSTALLED'], installed?.join('\n') ?? '');
  });
log('the command of a session without --allow-install', () => {
  const session = { ...aSession, installs: false, command: ['tcpdump', '-c', '1'] };
  const { message } = entryOf((write) => startOfSession(write, session));
  assert.is(message, 'Session 1 of alice (tcpdump -c 1) began, until 2026-03-04 07:00 UTC');
});
log.run();
