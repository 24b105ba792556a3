import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { noCounts } from '../../../../agent/forward/pipeline/counters.ts';
import { Tally } from '../../../../agent/forward/pipeline/pending-counters.ts';

const cursor = (sequence: number) =>
  `s=${'a'.repeat(32)};i=${sequence.toString(16)};b=${'b'.repeat(32)};m=${sequence.toString(16)};t=1;x=1`;

const tally = suite('what is counted once it is acknowledged');

tally('in order, up to what is acknowledged, and once', () => {
  const counts = noCounts();
  const it = new Tally(counts);
  it.add('lost', 7, cursor(10));
  it.add('cut', 1, cursor(11));
  it.add('corrupt', 1, '');
  it.add('refused', 1, cursor(20));
  for (const none of ['', cursor(9)]) assert.equal(it.reached(none), []);
  assert.equal(
    it.reached(cursor(10)).map(({ key }) => key),
    ['lost'],
  );
  it.reached(cursor(19));
  assert.equal([counts.lost, counts.cut, counts.corrupt, counts.refused], [7, 1, 1, 0]);
  it.reached(cursor(20));
  it.reached(cursor(21));
  assert.equal([counts.lost, counts.cut, counts.corrupt, counts.refused], [7, 1, 1, 1]);
});

tally('what looks like something to be counted and is nothing is not kept', () => {
  const it = new Tally(noCounts());
  it.add('suppressed', 0, cursor(1));
  assert.equal(it.reached(cursor(2)), []);
});

tally.run();
