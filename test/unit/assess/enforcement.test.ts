import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { all, config, disk, edit, nothing } from '../../harness/changes.ts';
import { goodGuest, evaluateFixture } from '../../harness/guest.ts';

const enforcement = suite('enforcement');
const writable = disk({ offered: false });
const rwMount = edit('root', '/ ro,', '/ rw,');
const rwFileSystem = edit('root', ' ro,seclabel', ' rw,seclabel');
for (const [title, change, expected] of [
  ['the host', nothing, 'host'],
  ['only a flag of the disk', all(disk({ offered: false, readOnly: true }), rwMount, rwFileSystem), 'guest'],
  ['only the mount', all(writable, rwFileSystem), 'guest'],
  ['only the file system of the mount', all(writable, rwMount), 'guest'],
  ['nothing', all(writable, rwMount, rwFileSystem), 'none'],
  [
    'the host, except for a disk of REQUIRE_READONLY',
    all(config('REQUIRE_READONLY=/ /home\n'), edit('home', '/home rw', '/home ro')),
    'partial',
  ],
] as const) {
  enforcement(title, async () => {
    const guest = goodGuest();
    change(guest);
    assert.is((await evaluateFixture(guest)).enforcement, expected);
  });
}
enforcement.run();
