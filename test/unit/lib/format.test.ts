import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decodeBytes,
  formatAge,
  formatBytes,
  parseJson,
  sentence,
  shortList,
  unescapeBytes,
  unescapeOctal,
  wrap,
} from '../../../agent/lib/format.ts';

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
