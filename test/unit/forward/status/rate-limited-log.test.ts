import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forwardMessages } from '../../../../agent/forward/status/messages.ts';
import { Voice } from '../../../../agent/forward/status/rate-limited-log.ts';

const voice = suite("the forwarder's own lines");
const minute = 60_000;

/** A voice, what it has said, and its clock. */
function listen(): { said: string[]; ids: unknown[]; voice: Voice; clock: { now: number } } {
  const [said, ids, clock]: [string[], unknown[], { now: number }] = [[], [], { now: 0 }];
  const log = (_: number, text: string, fields: Record<string, unknown> = {}) => {
    said.push(text);
    ids.push(fields['MESSAGE_ID']);
  };
  return { said, ids, clock, voice: new Voice(log, () => clock.now) };
}

voice('a server that is away for an hour, always for the same reason, is one line', () => {
  const heard = listen();
  for (; heard.clock.now < 60 * minute; heard.clock.now += 1000)
    heard.voice.waiting('relp://a:1', 'ECONNREFUSED');
  assert.equal(heard.said, ['Cannot forward the journal to relp://a:1: ECONNREFUSED']);
  assert.equal(heard.ids, [forwardMessages.waiting.messageId]);
});

voice('an hour of changes is ten lines and one a minute, and says how many are missing', () => {
  const heard = listen();
  let changes = 0;
  for (; heard.clock.now < 60 * minute; heard.clock.now += 1000, changes += 2) {
    heard.voice.connected(`relp://a:${changes}`);
    heard.voice.waiting('relp://a:1', `it closed at ${changes}`);
  }
  assert.ok(heard.said.length <= 70, `${heard.said.length} lines`);
  assert.ok(heard.said.length >= 60, `${heard.said.length} lines`);
  const unsaid = heard.said.map((line) =>
    Number(/\((\d+) messages before were left out\)$/.exec(line)?.[1] ?? 0),
  );
  const told = heard.said.length + unsaid.reduce((sum, count) => sum + count, 0);
  assert.ok(changes - told <= 120, `${changes} changes, ${told} told of`);
});

voice('after a quiet time it has its say again at once', () => {
  const heard = listen();
  for (let n = 0; n < 100; n += 1) heard.voice.trouble(`reason ${n}`);
  assert.is(heard.said.length, 10);
  heard.clock.now += 10 * minute;
  for (let n = 0; n < 100; n += 1) heard.voice.trouble(`later ${n}`);
  assert.is(heard.said.length, 20);
  assert.match(heard.said[10] ?? '', /^Forwarding: later 0 \(90 messages before were left out\)$/);
});

voice.run();
