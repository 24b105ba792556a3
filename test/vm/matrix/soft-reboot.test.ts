import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertSealed, layout, look, withAgent, xfsOnLvm } from '../harness/scenario.ts';

const softReboot = suite('systemctl soft-reboot');

/** The initramfs assembles /var, which is in the root; late boot assembles the file system below /var. */
const varInRoot = layout({
  system: [...xfsOnLvm.system, { target: '/var/log', filesystem: 'xfs', sizeMiB: 320, options: 'ro' }],
});

softReboot('a sealed guest stays sealed and keeps its changes to /var', () =>
  withAgent({ layout: varInRoot }, async (guest) => {
    const marks = '/var/lib/mark /var/log/mark';
    const steps = {
      // The soft reboot ends this run of the steps. After the soft reboot, all steps run again.
      again: `[ -e /run/again ] || { touch /run/again; for f in ${marks}; do echo kept >$f; done; systemctl soft-reboot; sleep 300; }`,
      count: 'systemctl show --value -p SoftRebootsCount',
      ...look,
      kept: `cat ${marks}`,
      write: `for f in ${marks}; do echo new >$f && cat $f; done`,
      disk: 'ls /run/immutafs/lower/lib/mark /run/immutafs/below/var+log/mark',
    };
    const boot = await guest.boot({ disk: 'readonly', steps, arguments: ['systemd.show_status=1'] });
    assert.is(boot.step('count').stdout, '1\n');
    assertSealed(boot);
    assert.is(boot.step('kept').stdout, 'kept\nkept\n');
    assert.equal(boot.step('write'), { exit: 0, stdout: 'new\nnew\n', stderr: '' });
    assert.is(boot.step('disk').exit, 2, 'neither file is on the disk');
    assert.not.match(boot.console, /Failed (to )?unmount|FAILED/);
  }),
);

softReboot.run();
