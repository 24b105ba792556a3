import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeEachLine, forEachLine, lineFacility } from '../../../../agent/forward/encode/file-lines.ts';

const lines = suite('lines of a chunk');

const linesOf = (text: string, offset = 0) => {
  const found: [string, number, number, boolean][] = [];
  const terminated = text.endsWith('\n');
  const chunk = { id: 1, path: '/a', inode: '1:1', offset, text, terminated, audit: false };
  forEachLine(chunk, (...line) => found.push(line));
  return found;
};

lines('each line has its offsets in the file, also empty ones and an incomplete last one', () => {
  assert.equal(linesOf('a\n\nbc\nd', 100), [
    ['a', 100, 102, false],
    ['', 102, 103, false],
    ['bc', 103, 106, false],
    ['d', 106, 107, true],
  ]);
  assert.equal(linesOf('a\n'), [['a', 0, 2, true]]);
  assert.equal(linesOf(''), []);
});

lines('the lines are the text, and each begins where the one before ends', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '\n', '\xff', '\r') });
  fc.assert(
    fc.property(text, fc.nat(1000), (each, offset) => {
      let end = offset;
      for (const [line, from, to] of linesOf(each, offset)) {
        assert.is(from, end);
        assert.is(each.slice(from - offset, to - offset).replace(/\n$/, ''), line);
        end = to;
      }
      assert.is(end, offset + each.length);
    }),
  );
});

lines('the program is audit for its records, and otherwise the name of the file, in bytes', () => {
  const text = 'type=LOGIN msg=audit(1700000000.123:7): a\nb\n';
  const chunk = { id: 1, path: '/var/log/caf\u00e9.log', inode: '1:1', offset: 0, text, terminated: true };
  const heads: string[] = [];
  for (const audit of [true, false])
    encodeEachLine(
      { ...chunk, audit },
      (record, program) => `${program} ${lineFacility(record)}`,
      (_, __, head) => heads.push(head),
    );
  const other = 'caf\xc3\xa9.log 16';
  assert.equal(
    heads,
    ['audit 13', other, other, other],
    'in another log, what looks like a record is a line',
  );
});

lines.run();
