/** What to do depends on who keeps the disk read-only. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, config, disk, edit, handoff, tryWrite } from '../harness/changes.ts';
import { findingOf } from '../harness/finding.ts';

const remounted = all(edit('root', ' ro,', ' rw,'), edit('root', 'xfs /dev/mapper/rhel-root ro', 'xfs x rw'));
const openDisk = all(config('MODE=sealed\n'), disk({ offered: false }), handoff({ REASON: 'MODE=sealed' }));

const remedies = suite('remedies');
for (const [title, id, change, command] of [
  ['the host holds the disk', 'root-write-probe', tryWrite('OK'), 'remount'],
  ['the host leaves it writable', 'root-write-probe', all(openDisk, tryWrite('OK')), 'host'],
  [
    'only a flag of the block device',
    'root-write-probe',
    all(disk({ offered: false, readOnly: true }), tryWrite('OK')),
    'host',
  ],
  ['the host holds the disk', 'root-readonly', remounted, 'remount'],
  ['the host leaves it writable', 'root-readonly', all(openDisk, remounted), 'fstab'],
  [
    'the host holds the disk',
    'boot-readonly',
    all(edit('boot', ' ro,', ' rw,'), edit('boot', '- xfs /dev/vda1 ro', '- xfs /dev/vda1 rw')),
    'remount',
  ],
  ['a target on no disk', 'boot-readonly', config('REQUIRE_READONLY=/ /run\n'), 'fstab'],
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
