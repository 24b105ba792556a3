import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertFailing,
  checkOf,
  editFile,
  layout,
  look,
  statusOf,
  withAgent,
  xfsOnLvm,
} from '../harness/scenario.ts';

/** A dirty log is tested in `smoke/maintenance.test.ts`. */
const unprepared = suite('a disk that was sealed without prepare');

unprepared('the guest comes up, and a check finds each of the administrator’s omissions', () =>
  withAgent({ layout: withSwap, edit: leaveUnprepared }, async (guest) => {
    const boot = await guest.boot({
      disk: 'readonly',
      arguments: ['resume=/dev/mapper/rhel-swap', 'rd.lvm.lv=rhel/swap', 'crashkernel=64M'],
      steps: { ...look, swaps: 'tail -n +2 /proc/swaps', write: 'touch /var/lib/mark' },
    });
    assert.is(boot.endedBy, 'poweroff');
    assert.is(boot.step('failed').stdout, '');
    assert.is(boot.step('swaps').stdout, '');
    assert.is(boot.step('write').exit, 0);
    assertFailing(boot, 'status', [
      'home-options',
      'tmp-options',
      'swap-off',
      'fstab-consistent',
      'mtab-link',
      'boot-inputs',
    ]);
    const { report } = statusOf(boot);
    assert.match(checkOf(report, 'tmp-options').remedy, /noexec/);
    assert.match(checkOf(report, 'home-options').remedy, /nosuid/);
    assert.match(checkOf(report, 'mtab-link').remedy, /ln /);
  }),
);

const withSwap = layout({
  system: [...xfsOnLvm.system, { target: 'swap', filesystem: 'swap', sizeMiB: 64 }],
});

/**
 * Leaves fsck and quota in fstab as an installer writes them, /tmp without noexec, /home without nosuid, and mtab as a
 * file.
 */
async function leaveUnprepared(root: string): Promise<void> {
  const fstab = join(root, 'etc/fstab');
  await editFile(fstab, (text) => text.replace(/^(\S+\s+\/\s+xfs\s+)\S+\s+0\s+0/m, '$1ro,usrquota 1 1'));
  await editFile(fstab, (text) => text.replace(/^(\S+\s+\/boot\s+ext4\s+)\S+\s+0\s+0/m, '$1ro 1 2'));
  await editFile(fstab, (text) => text.replace(/^(tmpfs \/tmp .*)noexec,/m, '$1'));
  await editFile(fstab, (text) => text.replace(/^(\S+ \/home .*),nosuid/m, '$1'));
  await rm(join(root, 'etc/mtab'));
  await writeFile(join(root, 'etc/mtab'), '/dev/vda1 / ext4 rw 0 0\n');
}

unprepared.run();
