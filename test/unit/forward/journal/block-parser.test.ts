import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BlockParser, splitRuns } from '../../../../agent/forward/journal/block-parser.ts';
import type { LogEntry } from '../../../../agent/lib/journal-export/entry.ts';
import { ExportError, ExportParser } from '../../../../agent/lib/journal-export/parser.ts';

const parser = suite('block parser');

/** Returns a block as read-journal prints it. */
function block(count: number, last: number, content: Buffer): Buffer {
  const numbers = [String(count).padStart(5), String(last).padStart(6), String(content.length).padStart(6)];
  return Buffer.concat([Buffer.from(`${numbers.join(' ')}\n`), content]);
}

function entry(number: number, value: Buffer, isBinary: boolean): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(value.length));
  const field = isBinary ? [Buffer.from('A\n'), length, value] : [Buffer.from('A='), value];
  return Buffer.concat([Buffer.from(`__CURSOR=c${number}\n`), ...field, Buffer.from('\n\n')]);
}

/** Returns one block with these entries. */
function blockOf(entries: readonly Buffer[]): Buffer {
  const content = Buffer.concat(entries);
  return block(entries.length, content.length - (entries.at(-1)?.length ?? 0), content);
}

/** Returns the blocks of an entry that is divided at the given places. */
function divided(whole: Buffer, places: readonly number[]): Buffer {
  const ends = [...new Set(places.map((place) => 1 + (place % whole.length)))].sort((a, b) => a - b);
  const parts = [0, ...ends].map((from, index) => whole.subarray(from, ends[index] ?? whole.length));
  return Buffer.concat(parts.filter(({ length }) => length > 0).map((part) => block(0, 0, part)));
}

function cut(whole: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (whole.length + 1)))].sort((a, b) => a - b);
  return [...ends, whole.length].map((end, index) => whole.subarray(index === 0 ? 0 : ends[index - 1], end));
}

const text = fc.stringMatching(/^[ -~]{0,30}$/).map((value) => Buffer.from(value));
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((values) => Buffer.from(values)),
  fc.constant(Buffer.from('\n\n__CURSOR=s=forged\n')),
);
const value = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(text, fc.constant(false)) },
  fc.tuple(bytes, fc.constant(true)),
);
/** The entries of a block, or one entry that is divided. */
const blocks = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ values: fc.array(value, { minLength: 1, maxLength: 5 }) }) },
    fc.record({ values: fc.tuple(value), places: fc.array(fc.nat(1000), { maxLength: 3 }) }),
  ),
  { maxLength: 6 },
);

const contentOf = ({ text: content, run }: LogEntry) => run?.bytes.toString('latin1') ?? content;

parser('gives the entries of all blocks, wherever the chunks are cut', () => {
  let runs = 0;
  fc.assert(
    fc.property(blocks, fc.array(fc.nat(5000), { maxLength: 8 }), (all, places) => {
      let number = 0;
      const entries: Buffer[] = [];
      const output = all.map((each) => {
        const own = each.values.map(([content, isBinary]) => entry((number += 1), content, isBinary));
        entries.push(...own);
        return 'places' in each ? divided(own[0] ?? Buffer.alloc(0), each.places) : blockOf(own);
      });
      const blockParser = new BlockParser();
      const items = cut(Buffer.concat(output), places).flatMap((chunk) => blockParser.push(chunk));
      assert.is(blockParser.end(), undefined);
      assert.is(items.map(contentOf).join(''), Buffer.concat(entries).toString('latin1'));
      const plain = new ExportParser(undefined);
      assert.equal(
        splitRuns(items),
        entries.flatMap((each) => plain.push(each)),
      );
      for (const { cursor, run } of items) {
        if (run === undefined) continue;
        runs += 1;
        const [first] = splitRuns(new ExportParser(undefined).push(run.bytes));
        assert.is(first?.cursor, run.first);
        assert.is(cursor, `c${Number(run.first.slice(1)) + run.count - 1}`);
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(runs > 1000, `${runs} runs`);
});

parser('at the end within a block, no entry of the block counts as read', () => {
  const whole = blockOf([1, 2, 3].map((number) => entry(number, Buffer.from('value'), false)));
  for (let length = 0; length < whole.length; length += 1) {
    const each = new BlockParser();
    assert.equal(each.push(whole.subarray(0, length)), []);
    assert.is(each.end(), undefined);
  }
});

parser('at the end within an entry that is divided, returns its cursor', () => {
  const each = new BlockParser();
  each.push(block(0, 0, entry(7, Buffer.alloc(100), true).subarray(0, 50)));
  assert.is(each.end(), 'c7');
});

for (const [what, output] of [
  ['an entry without a block', '__CURSOR=s=0\nMESSAGE=hello\n\n'],
  ['an empty block', '    0      0      0\n'],
  ['a block that is too large', '    1      0  65517\n'],
  ['a block of too many entries', ' 1025      0      1\n'],
  ['a last entry behind the end', '    2     40     40\n'],
  [
    'a run that does not begin with a cursor',
    `    2     20     40\n${'x'.repeat(20)}__CURSOR=s\nA=123456\n\n`,
  ],
  ['a last entry that does not begin with a cursor', `    2     20     40\n__CURSOR=s\n${'x'.repeat(29)}`],
  ['a block within an entry', '    0      0     14\n__CURSOR=s\nA=\n    1      0     12\n__CURSOR=s\n\n'],
] as const) {
  parser(`${what} is an error`, () => {
    assert.throws(
      () => new BlockParser().push(Buffer.from(output)),
      (error: unknown) => error instanceof ExportError,
    );
  });
}

parser.run();
