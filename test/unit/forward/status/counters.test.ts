import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PendingCounters, zeroCounters } from '../../../../agent/forward/status/counters.ts';

const cursor = (sequence: number) =>
  `s=${'a'.repeat(32)};i=${sequence.toString(16)};b=${'b'.repeat(32)};m=${sequence.toString(16)};t=1;x=1`;

const pending = suite('pending counters');

pending('count each change once, in order, up to the acknowledged entry', () => {
  const counters = zeroCounters();
  const it = new PendingCounters(counters);
  it.add('lost', 7, cursor(10));
  it.add('cut', 1, cursor(11));
  it.add('corrupt', 1, '');
  it.add('refused', 1, cursor(20));
  for (const none of ['', cursor(9)]) assert.equal(it.acknowledged(none), []);
  assert.equal(
    it.acknowledged(cursor(10)).map(({ key }) => key),
    ['lost'],
  );
  it.acknowledged(cursor(19));
  assert.equal([counters.lost, counters.cut, counters.corrupt, counters.refused], [7, 1, 1, 0]);
  it.acknowledged(cursor(20));
  it.acknowledged(cursor(21));
  assert.equal([counters.lost, counters.cut, counters.corrupt, counters.refused], [7, 1, 1, 1]);
});

pending('ignore a count of 0', () => {
  const it = new PendingCounters(zeroCounters());
  it.add('suppressed', 0, cursor(1));
  assert.equal(it.acknowledged(cursor(2)), []);
});

pending.run();
