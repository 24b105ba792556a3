import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Unacknowledged } from '../../../../agent/forward/pipeline/unacknowledged.ts';

const unacknowledged = suite('unacknowledged messages');

/** Only the last message of an entry has a cursor. */
const cursor = fc.constantFrom('', 'a', 'b', 'c');
const batches = fc.array(fc.array(cursor, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 5 });
const send = (batch: string[]) => batch.map((each) => ({ text: 'x', cursor: each }));

unacknowledged('each message has its cursor, however batches and acknowledgements are divided', () => {
  fc.assert(
    fc.property(batches, fc.array(fc.nat(4), { maxLength: 30 }), (sent, acknowledgements) => {
      const sentMessages = new Unacknowledged(false);
      sent.forEach((batch) => sentMessages.add(send(batch)));
      let left = sent.flat();
      for (const each of acknowledgements) {
        const count = Math.min(each, left.length);
        const completed = left.slice(0, count).filter((text) => text !== '');
        assert.equal(sentMessages.acknowledge(count), {
          entries: completed.length,
          cursor: completed.at(-1) ?? '',
        });
        left = left.slice(count);
        assert.is(sentMessages.length, left.length);
        assert.equal(sentMessages.cursors(1), left.slice(1));
      }
    }),
  );
});

unacknowledged('sparse: a batch completes its entries only when all of it is acknowledged', () => {
  const sentMessages = new Unacknowledged(true);
  sentMessages.add(send(['a', 'b', '']));
  sentMessages.add(send(['c']));
  assert.is(sentMessages.length, 4);
  assert.is(sentMessages.entries, 3);
  assert.equal(sentMessages.acknowledge(2), { entries: 0, cursor: '' });
  assert.equal(sentMessages.acknowledge(1), { entries: 2, cursor: 'b' });
  assert.equal(sentMessages.cursors(0), ['c']);
  assert.is(sentMessages.entries, 1);
  assert.equal(sentMessages.acknowledge(1), { entries: 1, cursor: 'c' });
  assert.is(sentMessages.length, 0);
});

unacknowledged.run();
