import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forwardMessages } from '../../../../agent/forward/status/catalog.ts';
import { RateLimitedLog } from '../../../../agent/forward/status/rate-limited-log.ts';

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
