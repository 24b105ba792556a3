import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { diffLines, unifiedHunks } from '../../../agent/lib/diff.ts';
import { SystemError, errorCode, errorMessage, isAbsent, onFile } from '../../../agent/lib/errors.ts';
import {
  decodeBytes,
  formatAge,
  formatBytes,
  parseJson,
  sentence,
  shortList,
  unescapeOctal,
  wrap,
} from '../../../agent/lib/format.ts';
import { unescapeBytes } from '../../../agent/lib/octal.ts';
import { limitJson, toJson } from '../../../agent/lib/unprintable.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

const format = suite('format');

for (const [actual, expected] of [
  [formatBytes(0), '0 B'],
  [formatBytes(1536), '1.5 KiB'],
  [formatBytes(10 * 1024 ** 2), '10 MiB'],
  [formatBytes(2048 * 1024 ** 4), '2048 TiB'],
  [formatAge(0), '0 s'],
  [formatAge(90), '1 min'],
  [formatAge(86_400), '1 d'],
  [wrap('a bb ccc', 4).join('|'), 'a bb|ccc'],
  [wrap('longer a', 3).join('|'), 'longer|a'],
  [shortList(['a', 'b', 'c'], ', ', 2), 'a, b and 1 more'],
  [shortList(['a', 'b'], ', ', 2), 'a, b'],
  [decodeBytes('\xc3\xa4'), 'ä'],
  [decodeBytes('a\xff'), 'a\\xff'],
  [decodeBytes('日'), '日'],
  [sentence('a path'), 'A path.'],
  [sentence('/etc is.'), '/etc is.'],
  [unescapeOctal('a\\040b\\011\\134'), 'a b\t\\'],
  [unescapeOctal('\\303\\244'), 'ä'],
  [unescapeOctal('\\000\\400'), '\\000\\400'],
  [unescapeBytes('\\303\\244'), '\xc3\xa4'],
] as const) {
  format(JSON.stringify(expected), () => assert.is(actual, expected));
}

format('parseJson does not quote the text in its error', () => {
  assert.equal(parseJson('{"a":1}', '/x'), { a: 1 });
  assert.throws(
    () => parseJson('secret', '/x'),
    (error: unknown) => error instanceof Error && error.message === '/x: not JSON',
  );
});

format.run();

const diff = suite('diff');
for (const [before, after, expected] of [
  ['', 'a\n', ['+a']],
  ['a\nb\nc\nd\n', 'a\nB\nc\nd\n', [' a', '-b', '+B', ' c']],
  ['a\n', 'a', ['-a', '+a (without a newline)']],
  ['a\nb\n', 'a\nb\n', []],
  ['1\n2\n3\n4\n5\n6\n7\n', '0\n1\n2\n3\n4\n5\n6\n', ['+0', ' 1', ' 6', '-7']],
] as const) {
  diff(JSON.stringify([before, after]), () => assert.equal(diffLines(before, after), [...expected]));
}
const lines = fc
  .array(fc.constantFrom('a', 'b', 'c', ''))
  .map((all) => all.map((line) => `${line}\n`).join(''));
diff('kept and removed lines are the old text, kept and added lines the new text', () => {
  fc.assert(
    fc.property(lines, lines, (before, after) => {
      const all = diffLines(before, after, Infinity);
      const of = (marks: string) =>
        all
          .filter((line) => marks.includes(line.charAt(0)))
          .map((line) => `${line.slice(1)}\n`)
          .join('');
      if (before === after) return;
      assert.is(of(' -'), before);
      assert.is(of(' +'), after);
    }),
  );
});
diff.run();

const unified = suite('unified diff');
unified('patch(1) makes the new text from the old one', () =>
  inTemporaryDirectory((directory) => {
    const file = path.join(directory, 'old');
    const line = fc.constantFrom('a', 'b', 'c', '', '-x', '+y', '@@');
    const text = fc.array(line, { maxLength: 40 }).map((lines) => lines.map((each) => `${each}\n`).join(''));
    fc.assert(
      fc.property(text, text, text, (first, second, common) => {
        const [before, after] = [`${common}${first}${common}`, `${common}${second}${common}`];
        const hunks = unifiedHunks(before, after) ?? [];
        assert.is(hunks.length === 0, before === after);
        if (before === after) return;
        fs.writeFileSync(file, before);
        const input = `--- a\n+++ b\n${hunks.map((each) => `${each}\n`).join('')}`;
        const { stdout } = spawnSync('patch', ['-s', '-F0', '-o', '-', file], { input, encoding: 'utf8' });
        assert.is(stdout, after);
      }),
      { numRuns: 50 },
    );
  }),
);
unified('a line appended to a long text', () => {
  const text = 'line\n'.repeat(100_000);
  const hunk = ['@@ -99998,3 +99998,4 @@', ' line', ' line', ' line', '+new'];
  assert.equal(unifiedHunks(text, `${text}new\n`), hunk);
});
unified('texts that differ in too many lines are not compared', () => {
  const lines = (word: string) => Array.from({ length: 3000 }, (_, index) => `${word} ${index}\n`).join('');
  assert.is(unifiedHunks(lines('a'), lines('b')), undefined);
});
unified.run();

const limit = suite('texts of limited length in JSON');

const bytesOf = (text: string) => Buffer.byteLength(toJson(text)) - 2;

limit('a text is cut to the longest beginning that fits, and never within a character', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '\x01', '"', '\u00e9', '\x9b', '\u{1f600}') });
  fc.assert(
    fc.property(text, fc.nat(60), (each, bytes) => {
      const cut = limitJson(each, bytes);
      assert.ok(each.startsWith(cut) && bytesOf(cut) <= bytes);
      const [next = ''] = each.slice(cut.length);
      assert.ok(next === '' || bytesOf(cut + next) > bytes, `${toJson(each)}, ${bytes}: ${toJson(cut)}`);
    }),
    { numRuns: 1000 },
  );
});

limit('a text that fits is unchanged, also with unpaired surrogates', () => {
  assert.is(limitJson('a\ud800', 7), 'a\ud800');
  assert.is(limitJson('a\ud800', 6), 'a');
});

limit.run();

const errors = suite('errors');

/** Returns the error of an action on /x. */
function errorOf(action: () => unknown): SystemError {
  try {
    onFile('/x', action);
  } catch (error) {
    assert.instance(error, SystemError);
    return error as SystemError;
  }
  throw new Error('no error');
}

for (const [title, action, message, code] of [
  ['open', () => fs.openSync('/none', 'r'), '/x: no such file or directory', 'ENOENT'],
  ['rename', () => fs.renameSync('/none, open', '/b'), '/x: no such file or directory', 'ENOENT'],
  ['read', () => fs.readFileSync('/'), '/x: illegal operation on a directory', 'EISDIR'],
] as const) {
  errors(`onFile names the file, without Node's call and path: ${title}`, () => {
    const error = errorOf(action);
    assert.equal([error.message, error.code], [message, code]);
  });
}

errors('onFile keeps a SystemError, and the message of an error without a code', () => {
  const own = new SystemError('/y: too large', 'EFBIG');
  assert.is(
    errorOf(() => {
      throw own;
    }),
    own,
  );
  const other = errorOf(() => {
    throw new Error('ENOENT: a, b');
  });
  assert.equal([other.message, other.code], ['/x: ENOENT: a, b', '']);
});

errors('isAbsent', () => {
  for (const code of ['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', ''])
    assert.is(isAbsent(new SystemError('x', code)), code === 'ENOENT' || code === 'ENOTDIR', code);
  assert.is(isAbsent('ENOENT'), false);
});

errors('errorCode and errorMessage of anything', () => {
  assert.equal([errorCode('x'), errorMessage('x')], ['', 'x']);
  const both = new AggregateError([new Error('a'), new Error('a'), new Error('b')]);
  assert.is(errorMessage(both), 'a, b');
});

errors.run();
