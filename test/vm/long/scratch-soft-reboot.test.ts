import { stat } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { assertSealed, look, withAgent } from '../harness/scenario.ts';
import { configureScratch, deviceStep, markDisk, statesOf, uuid } from '../harness/scratch.ts';

const soft = suite('SCRATCH and a soft reboot');

const items = '/var/cache/app /srv/store:empty,exec /srv/copied:copy /srv/strict:required';
const paths = items.replaceAll(/:\S+/g, '');
const services = 'immutafs-scratch-device.service immutafs-scratch.service';

/** The soft reboot ends the first run of the steps. After the soft reboot, all steps run again. */
const steps = {
  again: `[ -e /run/again ] || {
    for each in ${paths}; do echo new >$each/of-the-disk; done
    dd if=/dev/zero of=/srv/store/large bs=1M count=32 conv=fsync
    cat /run/immutafs/scratch-device >/run/again; systemctl soft-reboot; sleep 300; }`,
  count: 'systemctl show --value -p SoftRebootsCount',
  ...look,
  device: deviceStep,
  before: 'cat /run/again',
  services: `systemctl is-active ${services}`,
  content: `for each in ${paths}; do cat $each/of-the-disk; done`,
  // The twin: a path that the soft reboot has not mounted again.
  unmounted: 'umount /srv/copied; cat /srv/copied/of-the-disk',
  broken: 'immutafs-agent status --json',
};

soft('the paths are mounted again with their content, and the host gets the space back at power-off', () =>
  withEmptyDisk(900, async (drive) => {
    await markDisk(drive);
    await withAgent({ edit: (root) => configureScratch(root, items, emptyDevice) }, async (guest) => {
      const drives = [{ ...drive, unmap: true }];
      const boot = await guest.boot({ disk: 'readonly', drives, uuid, steps, limitSeconds: 500 });
      assert.is(boot.step('count').stdout, '1\n');
      assertSealed(boot);
      assert.equal(statesOf(boot), ['disk', 'disk', 'disk', 'disk']);
      assert.match(boot.step('device').stdout, /^STATE=ready\n/);
      assert.is(boot.step('device').stdout, boot.step('before').stdout);
      assert.is(boot.step('services').stdout, 'active\nactive\n');
      assert.is(boot.step('content').stdout, 'new\n'.repeat(4));

      assert.is(boot.step('unmounted').stdout, 'disk\n');
      assert.equal(statesOf(boot, 'broken'), ['disk', 'disk', 'failed', 'disk']);

      assert.is(boot.endedBy, 'poweroff');
      const { blocks } = await stat(drive.file);
      assert.ok((blocks * 512) / 1024 / 1024 < 10, `${blocks} blocks are allocated`);
    });
  }),
);

soft.run();
