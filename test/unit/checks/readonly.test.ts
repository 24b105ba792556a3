import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Change,
  all,
  config,
  disk,
  edit,
  file,
  handoff,
  tryWrite,
  without,
} from '../../harness/changes.ts';
import { findingOf, testChanges } from '../../harness/finding.ts';

const remounted = all(edit('root', ' ro,', ' rw,'), edit('root', 'xfs /dev/mapper/rhel-root ro', 'xfs x rw'));

testChanges('readonly', {
  '/ is mounted read-write': [
    all(edit('root', '/ ro,', '/ rw,'), edit('root', ' ro,seclabel', ' rw,seclabel')),
    { 'root-readonly': 'fail' },
    'mounted read-write',
  ],
  '/boot is mounted read-write': [
    all(edit('boot', '/boot ro,', '/boot rw,'), edit('boot', ' ro,seclabel', ' rw,seclabel')),
    { 'boot-readonly': 'fail' },
    'mounted read-write',
  ],
  'there is no /boot': [
    all(
      without('boot'),
      ({ directories }) => directories.splice(directories.indexOf('boot'), 1),
      file('etc/fstab', '/dev/mapper/rhel-root / xfs ro 0 0\n'),
    ),
    { 'boot-readonly': 'skip' },
  ],
  'REQUIRE_READONLY names another target that is writable': [
    config('REQUIRE_READONLY=/ /boot /run\n'),
    // This file system is not on a disk, so the host cannot make it read-only.
    { 'boot-readonly': 'fail' },
  ],
});

const remedies = suite('readonly: the remedy depends on what keeps the disk read-only');
for (const [title, id, change, command] of [
  ['the host holds the disk', 'root-readonly', remounted, 'remount'],
  [
    'the host leaves it writable',
    'root-readonly',
    all(config('MODE=sealed\n'), disk({ offered: false }), handoff({ REASON: 'MODE=sealed' }), remounted),
    'fstab',
  ],
  [
    'the host holds the disk',
    'boot-readonly',
    all(edit('boot', ' ro,', ' rw,'), edit('boot', '- xfs /dev/vda1 ro', '- xfs /dev/vda1 rw')),
    'remount',
  ],
  ['a target on no disk', 'boot-readonly', config('REQUIRE_READONLY=/ /run\n'), 'fstab'],
  ['the host holds the disk', 'root-write-probe', tryWrite('OK'), 'remount'],
  [
    'the host leaves it writable',
    'root-write-probe',
    all(
      config('MODE=sealed\n'),
      disk({ offered: false }),
      handoff({ REASON: 'MODE=sealed' }),
      tryWrite('OK'),
    ),
    'host',
  ],
  [
    'only a flag of the block device',
    'root-write-probe',
    all(disk({ offered: false, readOnly: true }), tryWrite('OK')),
    'host',
  ],
] as [string, string, Change, 'remount' | 'host' | 'fstab'][]) {
  remedies(`${id}: ${title}`, async () => {
    const { status, remedy } = await findingOf(id, change);
    assert.is(status, 'fail');
    const said = {
      remount: remedy.includes('mount -o remount,ro /'),
      host: remedy.includes('read-only in the host and reboot'),
      fstab: remedy.includes('/etc/fstab'),
    };
    assert.equal(said, { remount: false, host: false, fstab: false, [command]: true }, remedy);
  });
}
remedies.run();

testChanges('root-write-probe', {
  'a write is accepted': [tryWrite('OK'), { 'root-write-probe': 'fail' }, 'the write was accepted'],
  'a write fails with another error': [tryWrite('EIO'), { 'root-write-probe': 'error' }, 'EIO'],
  'a write fails for lack of permission': [tryWrite('EACCES'), { 'root-write-probe': 'error' }, 'EACCES'],
});
