import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootsWithLater } from '../../../../agent/forward/journal/earlier-boots.ts';
import { parseCursor } from '../../../../agent/lib/journal-export/cursor.ts';

const boots = suite('the earlier boots that are forwarded');

const id = (digit: string) => digit.repeat(32);
/** Returns a cursor. @param time its time, in microseconds since 1970 */
const cursorOf = (source: string, sequence: number, boot: string, time: number) =>
  `s=${id(source)};i=${sequence.toString(16)};b=${id(boot)};m=1;t=${time.toString(16)};x=1`;

const acknowledged = cursorOf('a', 100, 'b', 5000);

for (const [title, last, expected] of [
  ['same source, later', cursorOf('a', 101, 'c', 5001), true],
  ['same source, later, by a clock that stayed behind', cursorOf('a', 101, 'c', 4000), true],
  ['same source, earlier', cursorOf('a', 99, 'c', 4999), false],
  ['same source, earlier, by a clock that was ahead', cursorOf('a', 99, 'c', 6000), false],
  ['another source, later', cursorOf('d', 1, 'c', 5001), true],
  ['another source, earlier', cursorOf('d', 1000, 'c', 4999), false],
  ['journalctl fails', undefined, true],
  ['no last entry', '', true],
] as const)
  boots(`a boot whose last entry is, compared with the acknowledged one: ${title}: ${expected}`, async () => {
    const after = parseCursor(acknowledged);
    assert.ok(after);
    const lastOf = (boot: string) => Promise.resolve(boot === id('c') ? last : acknowledged);
    assert.equal(await bootsWithLater([id('b'), id('c')], after, lastOf), [
      id('b'),
      ...(expected ? [id('c')] : []),
    ]);
  });

boots.run();
