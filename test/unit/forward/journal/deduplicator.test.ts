import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Deduplicator } from '../../../../agent/forward/journal/deduplicator.ts';
import type { LogEntry } from '../../../../agent/lib/journal-export/entry.ts';

const deduplicator = suite('deduplicator');

/** Returns an entry of a source, by default "a…", at a time of a boot. */
function entry(time: number, source = 'a', boot = 'b'): LogEntry {
  const digits = time.toString(16);
  const cursor = `s=${source.repeat(32)};i=${digits};b=${boot.repeat(32)};m=${digits};t=${digits};x=1`;
  return { kind: 'entry', cursor, text: '', message: undefined, cut: 0 };
}

for (const [what, entries, dropped] of [
  ['entries of one source', [entry(6), entry(7)], []],
  ['copies in another source', [entry(4, 'c'), entry(5, 'c'), entry(6, 'c')], [0, 1]],
  ['a copy of the entry before the first', [entry(5, 'c'), entry(6, 'c')], [0]],
  ['an earlier time in another boot', [entry(1, 'c', 'd'), entry(2, 'c', 'd')], []],
] as const) {
  deduplicator(`${what}: ${dropped.length} dropped`, () => {
    const kept = new Deduplicator(entry(5).cursor).withoutRepeated([...entries]);
    assert.equal(
      kept,
      entries.filter((_, index) => !dropped.some((place) => place === index)),
    );
  });
}

/** Returns consecutive entries as one item. */
function run(from: number, to: number, source?: string): LogEntry {
  const all = Array.from({ length: to - from + 1 }, (_, n) => entry(from + n, source));
  const bytes = Buffer.from(all.map(({ cursor }) => `__CURSOR=${cursor}\nA=b\n\n`).join(''));
  const [first, last] = [all[0]?.cursor ?? '', all.at(-1)?.cursor ?? ''];
  return { ...entry(to, source), cursor: last, text: '', run: { first, count: all.length, bytes } };
}

deduplicator('drops only the copies of a run in another source', () => {
  const it = new Deduplicator(entry(5).cursor);
  const own = [run(6, 8)];
  assert.is(it.withoutRepeated(own), own, 'a run of the same source remains a run');
  assert.equal(
    it.withoutRepeated([run(7, 10, 'c')]).map(({ cursor }) => cursor),
    [entry(9, 'c').cursor, entry(10, 'c').cursor],
  );
});

deduplicator('keeps everything if there is no entry before', () => {
  const entries = [entry(1), entry(2)];
  assert.equal(new Deduplicator('').withoutRepeated(entries), entries);
});

deduplicator.run();
