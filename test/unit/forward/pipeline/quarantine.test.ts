import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Quarantine } from '../../../../agent/forward/pipeline/quarantine.ts';

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
