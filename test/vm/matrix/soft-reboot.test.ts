import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertSealed, layout, look, withAgent, xfsOnLvm } from '../harness/scenario.ts';

const softReboot = suite('systemctl soft-reboot');

/** The initramfs assembles /var, which is in the root; late boot assembles the file system below /var. */
const varInRoot = layout({
  system: [...xfsOnLvm.system, { target: '/var/log', filesystem: 'xfs', sizeMiB: 320, options: 'ro' }],
});

softReboot('a sealed guest stays sealed and keeps its changes to /var', () =>
  withAgent({ layout: varInRoot, edit: withOverlays }, async (guest) => {
    const marks = '/var/lib/mark /var/log/mark /opt/mark /opt/agent/mark /root/mark';
    const steps = {
      // The soft reboot ends this run of the steps. After the soft reboot, all steps run again.
      again: `[ -e /run/again ] || { touch /run/again; for f in ${marks}; do echo kept >$f; done; systemctl soft-reboot; sleep 300; }`,
      count: 'systemctl show --value -p SoftRebootsCount',
      ...look,
      kept: `cat ${marks}`,
      write: `for f in ${marks}; do echo new >$f && cat $f; done`,
      disk: 'ls /run/immutafs/lower/lib/mark /run/immutafs/below/var+log/mark /run/immutafs/root/opt/mark',
      lower: 'cat /opt/agent/lower',
      layers: 'findmnt -rn -o TARGET,FSTYPE,OPTIONS | grep -E " overlay |/run/(var|immutafs)" | sort',
    };
    const boot = await guest.boot({ disk: 'readonly', steps, arguments: ['systemd.show_status=1'] });
    assert.is(boot.step('count').stdout, '1\n');
    const { overlays } = assertSealed(boot);
    assert.equal(
      overlays.map(({ target, state }) => [target, state]),
      ['/opt', '/opt/agent', '/root'].map((path) => [path, 'overlay']),
      boot.step('layers').stdout,
    );
    assert.is(boot.step('kept').stdout, 'kept\n'.repeat(5));
    assert.equal(boot.step('write'), { exit: 0, stdout: 'new\n'.repeat(5), stderr: '' });
    assert.is(boot.step('disk').exit, 2);
    assert.is(boot.step('disk').stdout, '', 'no file is on the disk');
    assert.is(boot.step('lower').stdout, 'disk\n');
    assert.not.match(boot.console, /Failed (to )?unmount|FAILED/);
  }),
);

/** Two paths of OVERLAY of which one is below the other, and one that holds a file of the disk. */
async function withOverlays(root: string): Promise<void> {
  await mkdir(join(root, 'opt/agent'));
  await writeFile(join(root, 'opt/agent/lower'), 'disk\n');
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), 'OVERLAY=/opt /opt/agent:noexec /root\n');
}

softReboot.run();
