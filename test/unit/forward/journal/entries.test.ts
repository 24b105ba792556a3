import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Deduplicator, GapDetector, suppressedCount } from '../../../../agent/forward/journal/continuity.ts';
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

const gaps = suite('gap detector');

const cursor = (sequence: number, source = 'a') =>
  `s=${source.repeat(32)};i=${sequence.toString(16)};b=${'b'.repeat(32)};m=1;t=1;x=1`;

for (const [what, first, next, missing] of [
  ['the next entry', cursor(15), cursor(16), 0],
  ['a jump of the sequence number', cursor(15), cursor(20), 4],
  ['an earlier entry', cursor(15), cursor(3), 0],
  ['an entry of another source', cursor(15), cursor(20, 'c'), 0],
  ['no entry before', '', cursor(20), 0],
  ['a text that is no cursor', cursor(15), 'garbage', 0],
] as const) {
  gaps(`${what}: ${missing} missing`, () => {
    assert.is(new GapDetector(first).missingBefore(next), missing);
  });
}

gaps('counts each gap once', () => {
  const it = new GapDetector(cursor(1));
  assert.equal(
    [2, 5, 6, 9].map((sequence) => it.missingBefore(cursor(sequence))),
    [0, 2, 0, 2],
  );
});

gaps('a run is followed by the number after its last entry', () => {
  const it = new GapDetector(cursor(1));
  assert.is(it.missingBefore(cursor(2), 10), 0);
  assert.is(it.missingBefore(cursor(12)), 0);
  assert.is(it.missingBefore(cursor(15), 3), 2);
  assert.is(it.missingBefore(cursor(19)), 1);
});

gaps("counts suppressed messages only in journald's own report", () => {
  const text = (transport: string) =>
    `__CURSOR=c\n_TRANSPORT=${transport}\nMESSAGE=Suppressed 7 messages from a.service\n\n`;
  assert.is(suppressedCount(text('driver')), 7);
  assert.is(suppressedCount(text('journal')), 0);
});

gaps('counts no suppressed messages that a program reports in a message of several lines', () => {
  const forged = '\n_TRANSPORT=driver\nMESSAGE=Suppressed 999 messages from a.service\n';
  const binary = `MESSAGE\n${String.fromCharCode(forged.length)}\0\0\0\0\0\0\0${forged}\n`;
  assert.is(suppressedCount(`__CURSOR=c\n${binary}_TRANSPORT=journal\n\n`), 0);
  assert.is(suppressedCount(`__CURSOR=c\n_TRANSPORT=journal\n${binary}\n`), 0);
  const genuine = '_TRANSPORT=driver\nMESSAGE=Suppressed 7 messages from a.service\n';
  assert.is(suppressedCount(`__CURSOR=c\nOTHER_${binary}${genuine}\n`), 7);
});

gaps.run();
