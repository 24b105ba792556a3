import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Refusals } from '../../../../agent/forward/pipeline/quarantine.ts';

const refusals = suite('what servers would not take');

refusals(
  'an entry that is refused three times, the last time after a note that was taken, is given up',
  () => {
    const it = new Refusals();
    it.refused(['a']);
    assert.not.ok(it.doubts('a'));
    it.refused(['a']);
    assert.ok(it.doubts('a') && it.wary);
    assert.not.ok(it.doubts('b'));
    // The note goes by itself, and the entry after it.
    assert.is(it.limit, 1);
    it.accepted(1);
    assert.is(it.limit, 1);
    it.refused(['a']);
    assert.ok(it.gaveUp('a'));
    assert.not.ok(it.doubts('a'));
    it.accepted(2);
    assert.is(it.limit, Infinity);
  },
);

refusals('an entry that is taken after the note is doubted no more', () => {
  const it = new Refusals();
  it.refused(['a']);
  it.refused(['a']);
  it.accepted(2);
  assert.not.ok(it.wary);
  it.refused(['a']);
  assert.not.ok(it.gaveUp('a'));
});

refusals('a server that takes nothing, not even a note, costs no entry however often it refuses', () => {
  const it = new Refusals();
  for (let n = 0; n < 100; n += 1) {
    it.refused(['a']);
    it.refused([]);
    it.refused(['']);
  }
  assert.not.ok(it.gaveUp('a'));
  assert.ok(it.doubts('a'));
});

refusals('a refused batch is sent in smaller ones, until all of it went through', () => {
  const it = new Refusals();
  const batch = Array.from({ length: 512 }, (_, n) => String(n));
  it.refused(batch);
  assert.is(it.limit, 32);
  it.refused(batch.slice(0, 32));
  assert.is(it.limit, 2);
  it.accepted(511);
  assert.is(it.limit, 2);
  it.accepted(1);
  assert.is(it.limit, Infinity);
  assert.not.ok(it.wary);
});

refusals.run();
