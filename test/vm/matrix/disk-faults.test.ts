import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertSealed,
  checkOf,
  editFile,
  layout,
  look,
  notPassed,
  statusOf,
  withAgent,
  xfsOnLvm,
} from '../harness/scenario.ts';

const disks = suite('what is on a disk when it is sealed');

disks('killed while it was writable, then sealed: up without the logs, and said', () =>
  withAgent({}, async (guest) => {
    const write =
      'mkdir /boot/d /usr/d; for i in 1 2 3; do echo $i >/usr/d/$i; echo $i >/boot/d/$i; done; sync -f /usr/d';
    const killed = await guest.boot({ disk: 'writable', steps: { write }, powerCutAfter: 'write' });
    assert.is(killed.endedBy, 'power-cut');
    const boot = await guest.boot({ disk: 'readonly', steps: look });
    const report = assertSealed(boot);
    const { status, subject } = checkOf(report, 'root-log');
    assert.is(status, 'warn');
    assert.match(subject, /^\/( |$)/);

    const mended = await guest.boot({ disk: 'writable', steps: look });
    assert.is(statusOf(mended).exit, 4);
    const sealed = await guest.boot({ disk: 'readonly', steps: look });
    assert.is(checkOf(assertSealed(sealed), 'root-log').status, 'pass');
  }),
);

disks('fsck, quota, swap and hibernation in fstab and kernel arguments: up, and said', () =>
  withAgent({ layout: withSwap, edit: careless }, async (guest) => {
    const boot = await guest.boot({
      disk: 'readonly',
      arguments: ['resume=/dev/mapper/rhel-swap', 'rd.lvm.lv=rhel/swap', 'crashkernel=64M'],
      steps: { ...look, swaps: 'tail -n +2 /proc/swaps', write: 'touch /var/lib/mark' },
    });
    assert.is(boot.endedBy, 'poweroff');
    assert.is(boot.step('failed').stdout, '');
    assert.is(boot.step('swaps').stdout, '');
    assert.is(boot.step('write').exit, 0);
    const { report } = statusOf(boot);
    assert.equal(notPassed(report), ['swap-off', 'fstab-consistent', 'boot-inputs']);
  }),
);

const withSwap = layout({
  system: [...xfsOnLvm.system, { target: 'swap', filesystem: 'swap', sizeMiB: 64 }],
});

/** As an installer leaves fstab, and more. */
async function careless(root: string): Promise<void> {
  const fstab = join(root, 'etc/fstab');
  await editFile(fstab, (text) => text.replace(/^(\S+\s+\/\s+xfs\s+)\S+\s+0\s+0/m, '$1ro,usrquota 1 1'));
  await editFile(fstab, (text) => text.replace(/^(\S+\s+\/boot\s+ext4\s+)\S+\s+0\s+0/m, '$1ro 1 2'));
}

disks.run();
