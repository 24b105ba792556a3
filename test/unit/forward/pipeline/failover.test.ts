import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Backoff, Failover } from '../../../../agent/forward/pipeline/failover.ts';
import { parseTargets } from '../../../../agent/forward/transport/target.ts';

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
