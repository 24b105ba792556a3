import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PendingCounters } from '../../../../agent/forward/pipeline/pending-counters.ts';
import { zeroCounts } from '../../../../agent/forward/status/status-writer.ts';

const cursor = (sequence: number) =>
  `s=${'a'.repeat(32)};i=${sequence.toString(16)};b=${'b'.repeat(32)};m=${sequence.toString(16)};t=1;x=1`;

const pending = suite('pending counters');

pending('count each change once, in order, up to the acknowledged entry', () => {
  const counters = zeroCounts();
  const it = new PendingCounters(counters);
  it.add('lost', 7, cursor(10));
  it.add('cut', 1, cursor(11));
  it.add('corrupt', 1, '');
  it.add('refused', 1, cursor(20));
  for (const none of ['', cursor(9)]) assert.equal(it.acknowledged(none, []), []);
  assert.equal(
    it.acknowledged(cursor(10), [cursor(10)]).map(({ key }) => key),
    ['lost'],
  );
  it.acknowledged(cursor(19), [cursor(19)]);
  assert.equal([counters.lost, counters.cut, counters.corrupt, counters.refused], [7, 1, 1, 0]);
  it.acknowledged(cursor(20), [cursor(20)]);
  it.acknowledged(cursor(21), [cursor(21)]);
  assert.equal([counters.lost, counters.cut, counters.corrupt, counters.refused], [7, 1, 1, 1]);
});

pending('ignore a count of 0', () => {
  const it = new PendingCounters(zeroCounts());
  it.add('suppressed', 0, cursor(1));
  assert.equal(it.acknowledged(cursor(2), [cursor(2)]), []);
});

pending('count a line of a log file when its position is acknowledged, and once', () => {
  const counters = zeroCounts();
  const it = new PendingCounters(counters);
  const refusedAfter = (last: string, positions: string[]) => {
    it.acknowledged(last, positions);
    return counters.refused;
  };
  it.add('refused', 1, '259:1006');
  it.add('refused', 1, cursor(20));
  it.add('refused', 1, '259:2000');
  assert.is(refusedAfter(cursor(10), [cursor(10)]), 0);
  assert.is(refusedAfter(cursor(10), ['259:999', '260:5000', '25:9999']), 0);
  assert.is(refusedAfter(cursor(20), [cursor(20)]), 1);
  assert.is(refusedAfter(cursor(20), [cursor(20), '260:1', '259:1006']), 2);
  assert.is(refusedAfter(cursor(20), ['259:1999']), 2);
  assert.is(refusedAfter(cursor(21), ['259:10000']), 3);
  assert.is(refusedAfter(cursor(22), [cursor(22), '259:10001']), 3);
});

pending.run();
