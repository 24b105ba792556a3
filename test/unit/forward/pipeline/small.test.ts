import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Acknowledged, Checkpoint } from '../../../../agent/forward/pipeline/checkpoint.ts';
import { Backoff, Failover } from '../../../../agent/forward/pipeline/failover.ts';
import { PendingCounters } from '../../../../agent/forward/pipeline/pending-counters.ts';
import { Quarantine } from '../../../../agent/forward/pipeline/quarantine.ts';
import { zeroCounts } from '../../../../agent/forward/status/status-writer.ts';
import { parseTargets } from '../../../../agent/config/forward-target.ts';

const checkpoint = suite('checkpoint');

checkpoint('is saved after 256 entries, or after 200 ms', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const saved: Acknowledged[] = [];
    const positions: string[] = [];
    const files = { acknowledge: (each: string) => void positions.push(each), records: () => [] };
    const it = new Checkpoint('', files, (acknowledged) => saved.push(acknowledged));
    it.acknowledge(255, ['a', '1:20', '2:30']);
    assert.equal([positions, saved, it.unsaved, it.cursor], [['1:20', '2:30'], [], 255, 'a']);
    it.acknowledge(1, ['1:40']);
    assert.equal([saved, it.unsaved], [[{ cursor: 'a', files: [] }], 0]);
    it.acknowledge(1, ['b']);
    mock.timers.tick(199);
    it.acknowledge(1, ['c']);
    assert.is(saved.length, 1);
    mock.timers.tick(1);
    assert.equal(saved.slice(1), [{ cursor: 'c', files: [] }]);
    it.save();
    it.acknowledge(0, []);
    mock.timers.tick(1000);
    assert.is(saved.length, 2, 'what is saved is not saved again');
  } finally {
    mock.timers.reset();
  }
});

checkpoint.run();

const failover = suite('failover');

const [first, second, third] = parseTargets('relp://a:1 relp://b:1 relp://c:1');
if (first === undefined || second === undefined || third === undefined) throw new Error('no targets');

failover('a server that accepted nothing comes last until another one has delivered', () => {
  const it = new Failover([first, second, third]);
  assert.equal(it.order(), [first, second, third]);
  it.deliveredNothing(first);
  assert.equal(it.order(), [second, third, first]);
  it.delivered(second);
  assert.equal(it.order(), [first, second, third]);
  assert.equal(it.preferredOver(third), [first, second]);
  assert.equal(it.preferredOver(first), []);
});

failover('the preferred server is tried after 10 s, then at least once a minute', () => {
  const it = new Failover([first, second]);
  assert.equal([it.returnDelay(0), it.returnDelay(10_000), it.returnDelay(50_000)], [10_000, 20_000, 60_000]);
});

failover('a preferred server that accepts no entries is tried at most every ten minutes', () => {
  const it = new Failover([first, second]);
  it.deliveredNothing(first);
  assert.is(it.returnDelay(0), 20_000);
  for (let n = 0; n < 10; n += 1) it.deliveredNothing(first);
  assert.is(it.returnDelay(0), 600_000);
  it.delivered(first);
  assert.is(it.returnDelay(0), 10_000);
});

failover('pauses grow from one second to half a minute and start again after a success', () => {
  const backoff = new Backoff();
  const pauses = Array.from({ length: 8 }, () => backoff.next(1));
  assert.equal(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  for (let n = 0; n < 10_000; n += 1) backoff.next(1);
  assert.is(backoff.next(1), 30_000);
  assert.is(backoff.next(0), 22_500);
  backoff.reset();
  assert.is(backoff.next(1), 1000);
});

failover.run();

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

const quarantine = suite('quarantine');

quarantine('skips an entry that is refused three times, the last time after an accepted notice', () => {
  const it = new Quarantine();
  it.refused(['a']);
  assert.not.ok(it.isSuspect('a'));
  it.refused(['a']);
  assert.ok(it.isSuspect('a') && it.active);
  assert.not.ok(it.isSuspect('b'));
  // The notice is sent in a separate batch, followed by the entry.
  assert.is(it.batchLimit, 1);
  it.accepted(1);
  assert.is(it.batchLimit, 1);
  it.refused(['a']);
  assert.ok(it.has('a'));
  assert.not.ok(it.isSuspect('a'));
  it.accepted(2);
  assert.is(it.batchLimit, Infinity);
});

quarantine('an entry that is accepted after the notice is no longer suspect', () => {
  const it = new Quarantine();
  it.refused(['a']);
  it.refused(['a']);
  it.accepted(2);
  assert.not.ok(it.active);
  it.refused(['a']);
  assert.not.ok(it.has('a'));
});

quarantine('skips no entry if the server accepts nothing, not even the notice', () => {
  const it = new Quarantine();
  for (let n = 0; n < 100; n += 1) {
    it.refused(['a']);
    it.refused([]);
    it.refused(['']);
  }
  assert.not.ok(it.has('a'));
  assert.ok(it.isSuspect('a'));
});

quarantine('sends a refused batch in smaller ones until all of it is accepted', () => {
  const it = new Quarantine();
  const batch = Array.from({ length: 512 }, (_, n) => String(n));
  it.refused(batch);
  assert.is(it.batchLimit, 32);
  it.refused(batch.slice(0, 32));
  assert.is(it.batchLimit, 2);
  it.accepted(511);
  assert.is(it.batchLimit, 2);
  it.accepted(1);
  assert.is(it.batchLimit, Infinity);
  assert.not.ok(it.active);
});

quarantine.run();
