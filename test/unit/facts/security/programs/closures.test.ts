import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isClosureMemory } from '../../../../../agent/facts/security/programs/closures.ts';

const closures = suite('closures of libffi');
const device = '0:40';

for (const [title, path, permissions, expected] of [
  ['with a name that mkostemp(3) does not make', '/tmp/ffiAb0_9Z', ['r-xs', 'rw-s'], false],
  ['with a name of mkostemp(3)', '/tmp/ffiAb019Z', ['r-xs', 'rw-s'], true],
  ['several times', '/tmp/ffiAb019Z', ['r-xs', 'rw-s', 'r-xs', 'rw-s'], true],
  ['with the name that the kernel gives to O_TMPFILE', '/var/tmp/#99', ['r-xs', 'rw-s'], true],
  ['with the number of another file', '/var/tmp/#98', ['r-xs', 'rw-s'], false],
  ['with another name', '/tmp/evil', ['r-xs', 'rw-s'], false],
  ['private, as a library', '/tmp/ffiAb019Z', ['r-xp', 'rw-p'], false],
  ['private as well', '/tmp/ffiAb019Z', ['r-xs', 'rw-s', 'r-xp'], false],
  ['not writable', '/tmp/ffiAb019Z', ['r-xs'], false],
  ['writable and executable at once', '/tmp/ffiAb019Z', ['rwxs', 'rw-s', 'r-xs'], false],
] as const) {
  closures(title, () => {
    const file = { device, inode: 99, path: `${path} (deleted)` };
    const lines = permissions.map((each) => `7f00-7f01 ${each} 0 00:28 99 ${file.path}\n`).join('');
    const others = '7f01-7f02 r-xp 0 fd:00 5 /usr/bin/python2.7\n7f02-7f03 rw-p 00000000 00:00 0 \n';
    assert.is(isClosureMemory(file, lines + others), expected);
  });
}
closures('a file that still has a name', () => {
  const file = { device, inode: 99, path: '/tmp/ffiAb019Z' };
  const maps = ['r-xs', 'rw-s'].map((each) => `7f00-7f01 ${each} 0 00:28 99 ${file.path}\n`).join('');
  assert.is(isClosureMemory(file, maps), false);
});
closures.run();
