import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  isClosureMemory,
  findExecutableMappings as find,
} from '../../../../../agent/facts/security/programs/mappings.ts';

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

const mappings = suite('executable mappings');

mappings(
  'device, inode and path of each executable mapping of a file, and addresses of those on device 0',
  () => {
    const found = find(
      [
        '00400000-00407000 r-xp 00000000 fd:00 1234                               /usr/bin/sleep',
        '00606000-00607000 r--p 00006000 fd:00 1234                               /usr/bin/sleep',
        '00010000-00011000 rwxs 00000000 00:1a 99                         /dev/shm/a b\\012c',
        '7f0000002000-7f0000003000 --xp 00000000 103:1000ff 7                     /memfd:x (deleted)',
        '7f0000004000-7f0000005000 rw-p 00000000 00:1a 98                         /dev/shm/data',
        '7f0000006000-7f0000007000 --xp 00000000 00:01 97                         /memfd:x (deleted)',
        '',
      ].join('\n'),
    );
    assert.equal(found, {
      mapped: [
        { device: '253:0', inode: 1234, path: '/usr/bin/sleep' },
        { device: '0:26', inode: 99, path: '/dev/shm/a b\nc' },
        { device: '259:1048831', inode: 7, path: '/memfd:x (deleted)' },
        { device: '0:1', inode: 97, path: '/memfd:x (deleted)' },
      ],
      addresses: '10000-11000 7f0000006000-7f0000007000',
    });
  },
);

mappings('anonymous memory, vdso and vsyscall are left out', () => {
  const maps = [
    '7ff2000-7ff3000 rwxp 00000000 00:00 0 ',
    '7ff4000-7ff5000 r-xp 00000000 00:00 0                                  [vdso]',
    'ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0                  [vsyscall]',
    '',
  ].join('\n');
  assert.equal(find(maps).mapped, []);
});

mappings('a file system whose device has the number 0 of a file, such as FUSE, is not left out', () => {
  assert.is(find('1000-2000 r-xp 00000000 00:2f 0     /mnt/x\n').mapped.length, 1);
});

mappings('a permission in the name of a file is not taken for one, and hides no other line', () => {
  const evil = '1000-2000 r--p 00000000 00:1a 5     /dev/shm/r-xp 00000000 fd:00 1 /usr/bin/x';
  const real = '3000-4000 r-xp 00000000 00:1a 6     /dev/shm/xp xs real';
  assert.equal(
    find(`${evil}\n${real}\n`).mapped.map(({ path }) => path),
    ['/dev/shm/xp xs real'],
  );
});

mappings(
  'a file is listed once; another file with the same path, and the same file deleted, are others',
  () => {
    const line = (device: string, path: string) => `1000-2000 r-xp 00002000 ${device} 9   ${path}\n`;
    const same = line('fd:00', '/usr/lib/a.so');
    const others = line('00:1a', '/usr/lib/a.so') + line('fd:00', '/usr/lib/a.so (deleted)');
    assert.is(find(same + same + others).mapped.length, 3);
  },
);

mappings('a malformed line is an error, never a file that is left out', () => {
  assert.throws(() => find('1000-2000 r-xp nonsense\n'), /malformed/);
});

mappings('a last line without a newline', () => {
  assert.is(find('1000-2000 r-xp 00000000 00:1a 5 /dev/shm/x').mapped.length, 1);
});

mappings.run();
