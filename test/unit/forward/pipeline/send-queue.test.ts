import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SendQueue } from '../../../../agent/forward/pipeline/send-queue.ts';
import { type OutgoingMessage, RefusedError } from '../../../../agent/forward/stages.ts';

const queues = suite('send queue');

/** Returns a queue whose transport takes everything at once, and a function that sends a batch. */
function begin(sparse: boolean) {
  const sent: OutgoingMessage[] = [];
  const queue = new SendQueue({
    transport: {
      capacity: () => 10_000,
      send: (messages) => void sent.push(...messages),
      ...{ listen: () => undefined, close: () => Promise.resolve(), destroy: () => undefined },
    },
    ...{ checkpoint: { unsaved: 0 }, quarantine: { batchLimit: Infinity }, window: 10_000, sparse },
  });
  const send = (...batch: OutgoingMessage[]) => {
    queue.add(batch);
    queue.send();
  };
  /** The cursors of the unacknowledged messages from an index on. */
  const cursors = (first: number) => queue.suspects(new RefusedError('', first, 10_000));
  return { queue, send, cursors };
}

const message = (cursor: string): OutgoingMessage => ({ text: 'x', cursor });
const batchOf = (...cursors: string[]) => cursors.map(message);

/** Only the last message of an entry has a cursor. */
const cursor = fc.constantFrom('', 's=a', 's=b', 's=c', '1:10', '1:20', '257:5');
const batches = fc.array(fc.array(cursor, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 5 });
/** Returns the last cursor of the journal and of each file. */
function lastOf(cursors: string[]): string[] {
  const sources = [/^s=/, /^1:/, /^257:/];
  return sources.flatMap((source) => cursors.findLast((each) => source.test(each)) ?? []).sort();
}

queues('each message has its cursor, however batches and acknowledgements are divided', () => {
  fc.assert(
    fc.property(batches, fc.array(fc.nat(4), { maxLength: 30 }), (all, acknowledgements) => {
      const { queue, send, cursors } = begin(false);
      all.forEach((batch) => send(...batchOf(...batch)));
      let left = all.flat();
      for (const each of acknowledgements) {
        const count = Math.min(each, left.length);
        const completed = left.slice(0, count).filter((text) => text !== '');
        const { entries, cursors: last } = queue.acknowledge(count);
        assert.equal([entries, last.sort()], [completed.length, lastOf(completed)]);
        left = left.slice(count);
        assert.is(queue.idle, left.length === 0);
        assert.equal(cursors(1), left.slice(1));
      }
    }),
  );
});

queues('sparse: a batch completes its entries only when all of it is acknowledged', () => {
  const { queue, send, cursors } = begin(true);
  send(...batchOf('s=a', '1:10', 's=b', '1:20', ''));
  send(message('s=c'));
  assert.equal(queue.acknowledge(4), { entries: 0, cursors: [] });
  assert.equal(queue.acknowledge(1), { entries: 4, cursors: ['s=b', '1:20'] });
  assert.equal([cursors(0), queue.idle], [['s=c'], false]);
  assert.is(queue.close(), 1);
  assert.equal(queue.acknowledge(1), { entries: 1, cursors: ['s=c'] });
  assert.ok(queue.idle);
});

queues('a run counts as its entries, is acknowledged as a whole, and is no single suspect', () => {
  const { queue, send, cursors } = begin(false);
  const run = { first: 's=x', count: 3, bytes: Buffer.from('x') };
  send({ text: '', cursor: 's=b', run }, ...batchOf('', 's=c', '1:10'));
  send(...batchOf('s=d', ''));
  assert.equal(cursors(0).slice(0, 6), Array<string>(6).fill('s=c'));
  assert.equal(cursors(6), ['s=d', '']);
  assert.is(queue.close(), 6);
  assert.equal(queue.acknowledge(5), { entries: 0, cursors: [] });
  assert.equal(queue.acknowledge(1), { entries: 5, cursors: ['s=c', '1:10'] });
  assert.equal(queue.acknowledge(2), { entries: 1, cursors: ['s=d'] });
  assert.ok(queue.idle);
});

queues.run();
