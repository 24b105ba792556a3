import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type MappedFile,
  findExecutableMappings,
} from '../../../../../agent/facts/security/programs/executable-mappings.ts';

const find = (
  maps: string,
  isProven: (file: MappedFile) => boolean = () => false,
  known = new Map<string, string>(),
) => findExecutableMappings(maps, known, isProven);

const mappings = suite('executable mappings');

mappings('device, inode, path and addresses of each executable mapping of a file', () => {
  const { unproven, provenPaths } = find(
    [
      '00400000-00407000 r-xp 00000000 fd:00 1234                               /usr/bin/sleep',
      '00606000-00607000 r--p 00006000 fd:00 1234                               /usr/bin/sleep',
      '7f0000000000-7f0000001000 rwxs 00000000 00:1a 99                         /dev/shm/a b\\012c',
      '7f0000002000-7f0000003000 --xp 00000000 103:1000ff 7                     /memfd:x (deleted)',
      '7f0000004000-7f0000005000 rw-p 00000000 00:1a 98                         /dev/shm/data',
      '',
    ].join('\n'),
  );
  assert.equal(unproven, [
    { device: '253:0', inode: 1234, path: '/usr/bin/sleep', range: '00400000-00407000' },
    { device: '259:1048831', inode: 7, path: '/memfd:x (deleted)', range: '7f0000002000-7f0000003000' },
    { device: '0:26', inode: 99, path: '/dev/shm/a b\nc', range: '7f0000000000-7f0000001000' },
  ]);
  assert.equal(provenPaths, []);
});

mappings('anonymous memory, vdso and vsyscall are left out', () => {
  const maps = [
    '7ff2000-7ff3000 rwxp 00000000 00:00 0 ',
    '7ff4000-7ff5000 r-xp 00000000 00:00 0                                  [vdso]',
    'ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0                  [vsyscall]',
    '',
  ].join('\n');
  assert.equal(find(maps).unproven, []);
});

mappings('a file system whose device has the number 0 of a file, such as FUSE, is not left out', () => {
  assert.is(find('1000-2000 r-xp 00000000 00:2f 0     /mnt/x\n').unproven.length, 1);
});

mappings('a permission in the name of a file is not taken for one, and hides no other line', () => {
  const evil = '1000-2000 r--p 00000000 00:1a 5     /dev/shm/r-xp 00000000 fd:00 1 /usr/bin/x';
  const real = '3000-4000 r-xp 00000000 00:1a 6     /dev/shm/xp xs real';
  const { unproven } = find(`${evil}\n${real}\n`, ({ device }) => device === '253:0');
  assert.equal(
    unproven.map(({ path }) => path),
    ['/dev/shm/xp xs real'],
  );
});

mappings(
  'a proven file is examined once for all processes; another file with the same path is not taken for it',
  () => {
    let examined = 0;
    const isProven = ({ device }: MappedFile) => (examined++, device === '253:0');
    const known = new Map<string, string>();
    for (const start of [1, 2, 3])
      find(`${start}000-${start}800 r-xp 00002000 fd:00 9   /usr/lib/a.so\n`, isProven, known);
    assert.is(examined, 1);
    const { unproven } = find('1000-2000 r-xp 00002000 00:1a 9   /usr/lib/a.so\n', isProven, known);
    assert.is(unproven.length, 1);
  },
);

mappings('a malformed line is an error, never a file that is left out', () => {
  assert.throws(() => find('1000-2000 r-xp nonsense\n'), /malformed/);
});

mappings('a last line without a newline', () => {
  assert.is(find('1000-2000 r-xp 00000000 00:1a 5 /dev/shm/x').unproven.length, 1);
});

mappings.run();
