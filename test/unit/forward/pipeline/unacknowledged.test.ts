import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Unacknowledged } from '../../../../agent/forward/pipeline/unacknowledged.ts';

const unacknowledged = suite('unacknowledged messages');

/** Only the last message of an entry has a cursor. */
const cursor = fc.constantFrom('', 's=a', 's=b', 's=c', '1:10', '1:20', '257:5');
const batches = fc.array(fc.array(cursor, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 5 });
/** Returns the last cursor of the journal and of each file. */
function lastOf(cursors: string[]): string[] {
  const sources = [/^s=/, /^1:/, /^257:/];
  return sources.flatMap((source) => cursors.findLast((each) => source.test(each)) ?? []).sort();
}
const sorted = ({ entries, cursors }: { entries: number; cursors: string[] }) => ({
  entries,
  cursors: cursors.sort(),
});
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
        assert.equal(sorted(sentMessages.acknowledge(count)), {
          entries: completed.length,
          cursors: lastOf(completed),
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
  sentMessages.add(send(['s=a', '1:10', 's=b', '1:20', '']));
  sentMessages.add(send(['s=c']));
  assert.is(sentMessages.length, 6);
  assert.is(sentMessages.entries, 5);
  assert.equal(sentMessages.acknowledge(4), { entries: 0, cursors: [] });
  assert.equal(sentMessages.acknowledge(1), { entries: 4, cursors: ['s=b', '1:20'] });
  assert.equal(sentMessages.cursors(0), ['s=c']);
  assert.is(sentMessages.entries, 1);
  assert.equal(sentMessages.acknowledge(1), { entries: 1, cursors: ['s=c'] });
  assert.is(sentMessages.length, 0);
});

unacknowledged('a run counts as its entries, is acknowledged as a whole, and is no single suspect', () => {
  const sentMessages = new Unacknowledged(false);
  sentMessages.add([
    { text: '', cursor: 's=b', run: { first: 's=x', count: 3, bytes: Buffer.from('x') } },
    ...send(['', 's=c', '1:10']),
  ]);
  sentMessages.add(send(['s=d', '']));
  assert.is(sentMessages.length, 8);
  assert.is(sentMessages.entries, 6);
  assert.equal(sentMessages.cursors(0).slice(0, 6), Array<string>(6).fill('s=c'));
  assert.equal(sentMessages.cursors(6), ['s=d', '']);
  assert.equal(sentMessages.acknowledge(5), { entries: 0, cursors: [] });
  assert.equal(sentMessages.acknowledge(1), { entries: 5, cursors: ['s=c', '1:10'] });
  assert.equal(sentMessages.acknowledge(2), { entries: 1, cursors: ['s=d'] });
  assert.is(sentMessages.length, 0);
});

unacknowledged.run();
