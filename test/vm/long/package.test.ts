import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentRpm } from '../harness/agent.ts';
import { bootFilesIn } from '../harness/kernel.ts';
import { assertOwnFlag, flagged } from '../harness/own-flag.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { type Boot, assertNothingFailed, look, statusOf, withInstalledAgent } from '../harness/scenario.ts';

const rpm = suite('the package in a running guest');

rpm(
  'upgraded in maintenance: a changed configuration is kept; the flags that root sets on disks do not seal',
  () =>
    withInstalledAgent({}, async (guest) => {
      const boot = await guest.boot({
        disk: 'writable',
        files: { 'agent.rpm': await agentRpm() },
        steps: {
          change: `sed -i 's/^#VAR_SIZE=.*/VAR_SIZE=40%/' /etc/immutafs/immutafs.conf`,
          upgrade: 'rpm --upgrade --force --nodeps "$BOX/agent.rpm"',
          changed: 'grep -x VAR_SIZE=40% /etc/immutafs/immutafs.conf',
          ...look,
          flagged,
        },
        memoryMiB: 2048,
        limitSeconds: 500,
      });
      for (const name of ['change', 'upgrade', 'changed']) {
        assert.is(boot.step(name).exit, 0, `${name}: ${boot.step(name).stderr}`);
        assert.is(boot.step(name).stderr, '', name);
      }
      assert.is(statusOf(boot).exit, 4);
      assertNothingFailed(boot);
      assertOwnFlag(boot);
    }),
);

rpm('erased in maintenance: an ordinary guest; its changed configuration is saved', () =>
  withInstalledAgent({}, (guest, installed) =>
    withRunFolder(async (out) => {
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
    }),
  ),
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
