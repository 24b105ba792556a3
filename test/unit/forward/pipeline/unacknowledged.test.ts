import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InFlight } from '../../../../agent/forward/pipeline/unacknowledged.ts';

const inFlight = suite('what is in flight');

/** An entry's parts have no cursor but the last. */
const cursor = fc.constantFrom('', 'a', 'b', 'c');
const batches = fc.array(fc.array(cursor, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 5 });
const send = (batch: string[]) => batch.map((each) => ({ text: 'x', cursor: each }));

inFlight('each message has its cursor, however batches and answers are divided', () => {
  fc.assert(
    fc.property(batches, fc.array(fc.nat(4), { maxLength: 30 }), (sent, answers) => {
      const flight = new InFlight(false);
      sent.forEach((batch) => flight.add(send(batch)));
      let left = sent.flat();
      for (const answer of answers) {
        const count = Math.min(answer, left.length);
        const answered = left.slice(0, count).filter((each) => each !== '');
        assert.equal(flight.answer(count), { entries: answered.length, cursor: answered.at(-1) ?? '' });
        left = left.slice(count);
        assert.is(flight.length, left.length);
        assert.equal(flight.cursors(1), left.slice(1));
      }
    }),
  );
});

inFlight('sparse: the last cursor of a batch counts once all of it is answered, never before', () => {
  const flight = new InFlight(true);
  flight.add(send(['a', 'b', '']));
  flight.add(send(['c']));
  assert.is(flight.length, 4);
  assert.is(flight.entries, 3);
  assert.equal(flight.answer(2), { entries: 0, cursor: '' });
  assert.equal(flight.answer(1), { entries: 2, cursor: 'b' });
  assert.equal(flight.cursors(0), ['c']);
  assert.is(flight.entries, 1);
  assert.equal(flight.answer(1), { entries: 1, cursor: 'c' });
  assert.is(flight.length, 0);
});

inFlight.run();
