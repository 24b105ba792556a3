import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { all, config, disk, edit, nothing } from '../../harness/changes.ts';
import { evaluateGuest, goodGuest, withGuest } from '../../harness/guest.ts';

const enforcement = suite('enforcement');
const writable = disk({ offered: false });
const rwMount = edit('root', '/ ro,', '/ rw,');
const rwFileSystem = edit('root', ' ro,seclabel', ' rw,seclabel');
for (const [title, change, expected] of [
  ['the host', nothing, 'host'],
  ['a flag of the disk alone', all(disk({ offered: false, readOnly: true }), rwMount, rwFileSystem), 'guest'],
  ['the mount alone', all(writable, rwFileSystem), 'guest'],
  ['its file system alone', all(writable, rwMount), 'guest'],
  ['nothing', all(writable, rwMount, rwFileSystem), 'none'],
  [
    'the host, but for a disk of REQUIRE_READONLY',
    all(config('REQUIRE_READONLY=/ /home\n'), edit('home', '/home rw', '/home ro')),
    'partial',
  ],
] as const) {
  enforcement(title, async () => {
    const guest = goodGuest();
    change(guest);
    assert.is((await withGuest(guest, evaluateGuest)).enforcement, expected);
  });
}
enforcement.run();
