import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogEntry } from '../../../../agent/lib/journal-export/entry.ts';
import { syslogFields } from '../../../../agent/lib/journal-export/fields.ts';
import { ExportError, ExportParser } from '../../../../agent/lib/journal-export/parser.ts';

const parser = suite('export parser');

/** A field of the export format. */
interface Field {
  name: string;
  value: Buffer;
  binary: boolean;
}

const name = fc.stringMatching(/^[A-Z][A-Z0-9_]{0,10}$/).filter((text) => text !== 'MESSAGE');
const text = fc.stringMatching(/^[ -~]{0,30}$/).map((value) => Buffer.from(value));
const bytes = fc
  .array(fc.oneof(fc.constantFrom(0, 10, 61, 255), fc.nat(255)), { maxLength: 40 })
  .map((values) => Buffer.from(values));
const field = fc.oneof(
  fc.record({ name, value: text, binary: fc.constant(false) }),
  fc.record({ name, value: bytes, binary: fc.constant(true) }),
);
const entry = fc.array(field, { maxLength: 8 });
const journal = fc.array(entry, { maxLength: 6 });

function encode(fields: readonly Field[]): Buffer {
  const parts = fields.map(({ name: key, value, binary }) => {
    if (!binary) return Buffer.concat([Buffer.from(`${key}=`), value, Buffer.from('\n')]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(value.length));
    return Buffer.concat([Buffer.from(`${key}\n`), length, value, Buffer.from('\n')]);
  });
  return Buffer.concat([...parts, Buffer.from('\n')]);
}

const withCursor = (fields: readonly Field[], n: number): Buffer =>
  Buffer.concat([Buffer.from(`__CURSOR=c${n}\n`), encode(fields)]);

/** Splits a text into chunks at the given places. */
function cut(whole: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (whole.length + 1)))].sort((a, b) => a - b);
  return [...ends, whole.length].map((end, index) => whole.subarray(index === 0 ? 0 : ends[index - 1], end));
}

type Selection = readonly string[] | undefined;

function parse(selection: Selection, chunks: readonly Buffer[]): LogEntry[] {
  const each = new ExportParser(selection);
  return chunks.flatMap((chunk) => each.push(chunk));
}

parser('keeps every byte of every entry, wherever the chunks are cut', () => {
  fc.assert(
    fc.property(journal, fc.array(fc.nat(5000), { maxLength: 8 }), (entries, places) => {
      const exported = entries.map(withCursor);
      const parsed = parse(undefined, cut(Buffer.concat(exported), places));
      assert.equal(
        parsed.map(({ cursor, text: all }) => [cursor, all]),
        exported.map((all, n) => [`c${n}`, all.toString('latin1')]),
      );
    }),
    { numRuns: 3000 },
  );
});

parser('byte by byte, reads the same entries as from one chunk', () => {
  fc.assert(
    fc.property(journal, (entries) => {
      const whole = Buffer.concat(entries.map(withCursor));
      const single = [...whole.keys()].map((at) => whole.subarray(at, at + 1));
      assert.equal(parse(undefined, single), parse(undefined, [whole]));
      assert.equal(
        parse(syslogFields, single).map(({ cursor }) => cursor),
        parse(syslogFields, [whole]).map(({ cursor }) => cursor),
      );
    }),
    { numRuns: 500 },
  );
});

parser('detects a premature end, with the cursor of the incomplete entry', () => {
  fc.assert(
    fc.property(entry, fc.nat(1000), (fields, place) => {
      const whole = withCursor(fields, 7);
      const length = place % whole.length;
      const each = new ExportParser(undefined);
      assert.equal(each.push(whole.subarray(0, length)), []);
      const end = each.end();
      if (length === 0) assert.is(end, undefined);
      else assert.ok(end === 'c7' || 'c7'.startsWith(end ?? 'x'), `${end}`);
    }),
    { numRuns: 2000 },
  );
});

parser('random bytes give entries or an ExportError, and no more output than input', () => {
  const lengths = ['\0\0\0\0\0\0\0\0', '\x05\0\0\0\0\0\0\0'];
  const pieces = fc.constantFrom('__CURSOR=c\n', 'A=b\n', '\n', 'X\n', ...lengths, '=', '\0');
  const noise = fc.uint8Array({ maxLength: 30 }).map((values) => Buffer.from(values).toString('latin1'));
  const chunk = fc
    .array(fc.oneof(pieces, noise), { maxLength: 6 })
    .map((all) => Buffer.from(all.join(''), 'latin1'));
  let errors = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(undefined, syslogFields),
      fc.array(chunk, { maxLength: 4 }),
      (selection, chunks) => {
        const each = new ExportParser(selection);
        let out = 0;
        try {
          for (const part of chunks) for (const { text: all } of each.push(part)) out += all.length;
        } catch (error) {
          assert.instance(error, ExportError);
          errors += 1;
        }
        const input = chunks.reduce((sum, { length }) => sum + length, 0);
        assert.ok(out <= input + 2 * chunks.length + 10, `${out} from ${input}`);
      },
    ),
    { numRuns: 100_000 },
  );
  assert.ok(errors > 100, `${errors} errors`);
});

const long = (size: number) => [{ name: 'LONG', value: Buffer.alloc(size, 'x'), binary: false }];

parser('emits a long entry in pieces that join to the whole entry', () => {
  for (const binary of [false, true]) {
    const fields = [...long(5_000_000).map((each) => ({ ...each, binary })), ...long(10)];
    const whole = withCursor(fields, 1);
    const chunks = Array.from({ length: Math.ceil(whole.length / 65536) }, (_, n) =>
      whole.subarray(n * 65536, (n + 1) * 65536),
    );
    const parsed = parse(undefined, chunks);
    assert.is(parsed.map(({ text: all }) => all).join(''), whole.toString('latin1'));
    assert.equal(
      parsed.map(({ kind }) => kind),
      [...parsed.slice(1).map(() => 'piece'), 'entry'],
    );
    assert.ok(parsed.every(({ text: all }) => all.length < 1.2 * 1024 * 1024));
  }
});

parser('selects the syslog fields, and MESSAGE up to its limit', () => {
  const fields = [
    { name: 'COREDUMP', value: Buffer.alloc(3_000_000, 1), binary: true },
    { name: 'MESSAGE', value: Buffer.alloc(1024 * 1024 + 5, 'm'), binary: true },
    { name: 'MESSAGE', value: Buffer.from('another'), binary: false },
    { name: 'PRIORITY', value: Buffer.from('3'), binary: false },
    { name: 'SYSLOG_IDENTIFIER', value: Buffer.from('a\nMESSAGE=b'), binary: true },
  ];
  const [only, ...others] = parse(syslogFields, [withCursor(fields, 1)]);
  assert.equal(others, []);
  assert.is(only?.message, 'm'.repeat(1024 * 1024));
  assert.is(only?.cut, 5);
  assert.is(only?.text, '__CURSOR=c1\nPRIORITY=3\nSYSLOG_IDENTIFIER=a?MESSAGE=b\n\n');
});

parser('emits an entry that has no end as partial, with its cursor', () => {
  const parsed = parse(undefined, [Buffer.from('__CURSOR=a\nA=1\n__CURSOR=b\nB=2\n\n__CURSOR=c\nC=3\n\n')]);
  assert.equal(
    parsed.map(({ kind, cursor, text: all }) => [kind, cursor, all]),
    [
      ['partial', 'a', ''],
      ['entry', 'b', '__CURSOR=b\nB=2\n\n'],
      ['entry', 'c', '__CURSOR=c\nC=3\n\n'],
    ],
  );
});

parser('reads a binary field whose length begins like a blank line', () => {
  for (const length of [10, 2570, 2570 * 256 + 10]) {
    const fields = [{ name: 'A', value: Buffer.alloc(length, '\n'), binary: true }];
    const whole = Buffer.concat([withCursor(fields, 1), withCursor([], 2)]);
    for (let at = 0; at < 40; at += 1) {
      const parsed = parse(undefined, [whole.subarray(0, at), whole.subarray(at)]);
      assert.equal(
        parsed.map(({ cursor }) => cursor),
        ['c1', 'c2'],
      );
    }
  }
});

for (const [what, garbage] of [
  ['a length of 2^63', 'A\n\0\0\0\0\0\0\0\x80'],
  ['no line feed after a binary value', 'A\n\x01\0\0\0\0\0\0\0xy'],
  ['a line that is not a field', `\0${'x'.repeat(300)}`],
] as const) {
  parser(`${what} is an ExportError`, () => {
    assert.throws(
      () => parse(undefined, [Buffer.from(`__CURSOR=a\n${garbage}`, 'latin1')]),
      (error: unknown) => error instanceof ExportError,
    );
  });
}

parser.run();
