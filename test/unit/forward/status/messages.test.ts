import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forwardMessages } from '../../../../agent/forward/status/catalog.ts';
import { type Discarded, describeDiscarded } from '../../../../agent/forward/status/end-of-boot.ts';
import { RateLimitedLog } from '../../../../agent/forward/status/rate-limited-log.ts';
import { entriesBetween, parseCursor } from '../../../../agent/lib/journal-export/cursor.ts';

const ledger = suite('what the end of a boot discards');
const upper = { inodes: 7, bytes: 3 * 1024 * 1024 };
const file = (path: string, behindBytes: number) => ({ path, behindBytes });
const cases: [string, Discarded, string][] = [
  [
    'everything is acknowledged',
    { entries: 0, files: [file('/a.log', 0)], upper },
    'The end of this boot discards, without acknowledgement: 0 journal entries; and 7 files and directories (3.0 MiB) in the upper layer of /var',
  ],
  [
    'entries and log files are not acknowledged',
    { entries: 3, files: [file('/a.log', 5), file('/b.log', 0), file('/c.log', 9)], upper },
    '3 journal entries, 5 bytes of /a.log, 9 bytes of /c.log; and 7',
  ],
  [
    'nothing is known',
    { entries: null, files: [], upper: undefined },
    'an unknown number of journal entries; and the upper layer of /var',
  ],
  [
    'many log files',
    { entries: 1, files: Array.from({ length: 22 }, (_, index) => file(`/${index}.log`, 1)), upper },
    '1 bytes of /19.log, bytes of 2 more log files; and',
  ],
];
for (const [title, discarded, expected] of cases) {
  ledger(title, () => {
    const text = describeDiscarded(discarded);
    assert.ok(text.includes(expected), text);
    assert.not.match(text, '\n');
  });
}

ledger('the number of entries is known only within one sequence', () => {
  const cursor = (source: string, sequence: number) =>
    parseCursor(`s=${source.repeat(32)};i=${sequence.toString(16)};b=${'b'.repeat(32)};m=1;t=1;x=1`);
  const last = cursor('a', 20);
  assert.ok(last);
  assert.is(entriesBetween(cursor('a', 4), last), 16);
  assert.is(entriesBetween(cursor('a', 21), last), 0);
  assert.is(entriesBetween(cursor('c', 4), last), null);
  assert.is(entriesBetween(undefined, last), null);
});
ledger.run();

const rateLimited = suite('rate-limited log');
const minute = 60_000;

/** Returns a log with a clock that can be set, and the messages of the log. */
function createLog(): { messages: string[]; ids: unknown[]; log: RateLimitedLog; clock: { now: number } } {
  const [messages, ids, clock]: [string[], unknown[], { now: number }] = [[], [], { now: 0 }];
  const write = (_: number, text: string, fields: Record<string, unknown> = {}) => {
    messages.push(text);
    ids.push(fields['MESSAGE_ID']);
  };
  return { messages, ids, clock, log: new RateLimitedLog(write, () => clock.now) };
}

rateLimited('a server that is unreachable for an hour for the same reason is one message', () => {
  const logged = createLog();
  for (; logged.clock.now < 60 * minute; logged.clock.now += 1000)
    logged.log.log('waiting', 'relp://a:1: ECONNREFUSED');
  assert.equal(logged.messages, ['Cannot forward the journal to relp://a:1: ECONNREFUSED']);
  assert.equal(logged.ids, [forwardMessages.waiting.messageId]);
});

rateLimited('an hour of changes is ten messages and one a minute, with the number of those left out', () => {
  const logged = createLog();
  let changes = 0;
  for (; logged.clock.now < 60 * minute; logged.clock.now += 1000, changes += 2) {
    logged.log.log('connected', `relp://a:${changes}`);
    logged.log.log('waiting', `relp://a:1: it closed at ${changes}`);
  }
  assert.ok(logged.messages.length <= 70, `${logged.messages.length} lines`);
  assert.ok(logged.messages.length >= 60, `${logged.messages.length} lines`);
  const leftOut = logged.messages.map((line) =>
    Number(/\((\d+) messages before were left out\)$/.exec(line)?.[1] ?? 0),
  );
  const counted = logged.messages.length + leftOut.reduce((sum, count) => sum + count, 0);
  assert.ok(changes - counted <= 120, `${changes} changes, ${counted} counted`);
});

rateLimited('after a quiet time, messages are logged at once', () => {
  const logged = createLog();
  for (let n = 0; n < 100; n += 1) logged.log.log('trouble', `reason ${n}`);
  assert.is(logged.messages.length, 10);
  logged.clock.now += 10 * minute;
  for (let n = 0; n < 100; n += 1) logged.log.log('trouble', `later ${n}`);
  assert.is(logged.messages.length, 20);
  assert.match(logged.messages[10] ?? '', /^Forwarding: later 0 \(90 messages before were left out\)$/);
});

rateLimited.run();
