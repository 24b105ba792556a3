import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cloudInitTree, withUserData } from '../harness/cloud-init.ts';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import type { BootOptions, Guest } from '../harness/guest.ts';
import { withInitramfs } from '../harness/initramfs.ts';
import type { Drive } from '../harness/qemu.ts';
import { editFile, look, withAgent } from '../harness/scenario.ts';

const nextBoot = suite('what root writes to a second disk does not affect the next boot');

const userData = '#cloud-config\nbootcmd:\n  - touch /run/bootcmd\nruncmd:\n  - touch /run/runcmd\n';

const uuid = '1f5a0000-0000-4000-8000-00000000cafe';
const hibernate = `
  mkswap --quiet --uuid ${uuid} ${emptyDevice} && swapon ${emptyDevice} || exit
  lsblk --nodeps --noheadings --output MAJ:MIN ${emptyDevice} | tr -d ' ' >/sys/power/resume
  echo shutdown >/sys/power/disk
  boot=$(cat /proc/sys/kernel/random/boot_id)
  echo disk >/sys/power/state
  echo "lives on: $boot" >/dev/ttyS0
  echo o >/proc/sysrq-trigger`;

/** Reverts the masks of the dracut module. */
const resuming = {
  'etc/cmdline': '\n',
  'etc/systemd/system-generators/systemd-hibernate-resume-generator': {
    copyOf: 'usr/lib/systemd/system-generators/systemd-hibernate-resume-generator',
  },
  'etc/systemd/system/systemd-hibernate-resume.service': {
    copyOf: 'usr/lib/systemd/system/systemd-hibernate-resume.service',
  },
};

/** Calls `work` with a guest with cloud-init, a disk for a hibernation image, and a disk with user data. */
const withSecondDisks = (
  edit: ((root: string) => Promise<void>) | undefined,
  work: (guest: Guest, image: Drive, data: Drive) => Promise<void>,
): Promise<void> =>
  withEmptyDisk(1536, (image) =>
    withUserData(userData, async (data) => {
      await withAgent({ tree: await cloudInitTree(), edit }, (guest) => work(guest, image, data));
    }),
  );

const steps = {
  ...look,
  ran: 'ls /run/bootcmd /run/runcmd 2>/dev/null',
  units: 'systemctl show --property=LoadState --value cloud-init-main.service cloud-init-local.service',
};

nextBoot(
  'a hibernation image in the swap of resume=, and user data for cloud-init: not resumed, not run; resumed without the masks of the agent',
  () =>
    withSecondDisks(undefined, (guest, image, data) =>
      withInitramfs(resuming, async (bootFiles) => {
        const options: BootOptions = {
          disk: 'readonly',
          drives: [image, data],
          arguments: [`resume=UUID=${uuid}`],
          limitSeconds: 500,
        };
        const first = await guest.boot({ ...options, arguments: [], steps: { hibernate } });
        assert.is(first.done, false);
        assert.is(first.endedBy, 'poweroff', first.console.slice(-2000));
        assert.not.match(first.console, /lives on/);

        const sealed = await guest.boot({ ...options, steps });
        assert.is(sealed.done, true, sealed.console.slice(-2000));
        assert.not.match(sealed.console, /lives on/);
        assert.is(sealed.step('ran').stdout, '');
        assert.is(sealed.step('units').stdout, 'masked\n\nmasked\n');
        assert.is(sealed.step('failed').stdout, '');

        const counterpart = await guest.boot({ ...options, bootFiles, steps: look, resumes: true });
        assert.match(counterpart.console, /lives on: [0-9a-f-]{36}/);
        assert.is(counterpart.done, false);
      }),
    ),
);

const unmasked = (root: string) =>
  editFile(join(root, 'usr/lib/systemd/system-generators/immutafs-generator'), (text) =>
    text.replace('"$@" && exit', '"$@" && rm -f "$early"/cloud-* && exit'),
  );

nextBoot('user data for cloud-init: run without the masks of the agent', () =>
  withSecondDisks(unmasked, async (guest, _, data) => {
    // The steps begin when systemd has started every unit. A slow cloud-init may still be running at that time.
    const wait = 'timeout 240 cloud-init status --wait';
    const counterpart = await guest.boot({
      ...{ disk: 'readonly', drives: [data], limitSeconds: 500 },
      steps: { wait, ...steps },
    });
    assert.is(counterpart.step('ran').stdout, '/run/bootcmd\n/run/runcmd\n');
  }),
);

nextBoot.run();
