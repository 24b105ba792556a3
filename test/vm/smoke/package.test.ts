import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootFilesIn } from '../harness/kernel.ts';
import { type Boot, assertSealed, look, withInstalledAgent } from '../harness/scenario.ts';

/** An upgrade is tested in `long/package.test.ts`. */
const rpm = suite('the package in a running guest');

rpm('installed by rpm: sealed at the next boot; erasing it from the sealed guest fails', () =>
  withInstalledAgent({}, async (guest, installed) => {
    assert.is(installed.steps['install']?.stderr, '');
    const erase = 'rpm --erase --nodeps immutafs-agent';
    const boot = await guest.boot({
      disk: 'readonly',
      steps: { ...look, erase, still: 'rpm -q immutafs-agent' },
    });
    assertSealed(boot);
    assert.is.not(boot.step('erase').exit, 0);
    assert.match(boot.step('erase').stderr, /THIS GUEST IS SEALED, packages cannot be changed/);
    assert.is(boot.step('still').exit, 0);
  }),
);

rpm('erased in maintenance: an ordinary guest; its changed configuration is saved', () =>
  withInstalledAgent({}, async (guest, installed) => {
    const out = await mkdtemp(join(tmpdir(), 'erased-'));
    const boot = await guest.boot({
      disk: 'writable',
      steps: {
        change: `sed -i 's/^#VAR_SIZE=.*/VAR_SIZE=40%/' /etc/immutafs/immutafs.conf`,
        refused: 'rpm --erase --nodeps immutafs-agent',
        ordinary: `sed -i 's/ ro / defaults /' /etc/fstab`,
        erase: 'rpm --erase --nodeps immutafs-agent',
        left: 'find / -xdev -path /var/lib -prune -o -name "*immutafs*" -print',
        saved: 'grep -x VAR_SIZE=40% /etc/immutafs/immutafs.conf.rpmsave',
        out: 'cp /boot/init* "$OUT"',
      },
      outTo: out,
      memoryMiB: 2048,
      limitSeconds: 500,
    });
    assertErased(boot);
    const bootFiles = await bootFilesIn(out, installed.bootFiles.kernel);
    const ordinary = await guest.boot({ disk: 'readonly', bootFiles });
    assert.is(ordinary.emergency, 'initramfs', 'without the hook, XFS on LVM does not mount');
    await rm(out, { recursive: true });
  }),
);

/** The warning that rpm prints for a changed %config file. */
const rpmSave = 'warning: /etc/immutafs/immutafs.conf saved as /etc/immutafs/immutafs.conf.rpmsave\n';

function assertErased(boot: Boot): void {
  assert.is(boot.endedBy, 'poweroff');
  assert.is(boot.step('refused').exit, 1);
  assert.match(boot.step('refused').stderr, /^immutafs-agent: not erased\. \/etc\/fstab has ro for \//);
  for (const name of ['change', 'ordinary', 'erase', 'saved', 'out']) {
    assert.is(boot.step(name).exit, 0, `${name}: ${boot.step(name).stderr}`);
    assert.is(boot.step(name).stderr, name === 'erase' ? rpmSave : '', name);
  }
  assert.equal(boot.step('left').stdout.trim().split('\n').sort(), [
    '/etc/immutafs',
    '/etc/immutafs/immutafs.conf.rpmsave',
  ]);
}

rpm.run();
