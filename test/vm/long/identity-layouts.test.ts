import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import { withDataDisks } from '../harness/data-disks.ts';
import { assertGenuine, copyFirst, rejected, sealedFirst, steps } from '../harness/impostor-boot.ts';
import { linksToCopy, makeLateInRoot, withCopy } from '../harness/impostor.ts';
import { withInitramfs } from '../harness/initramfs.ts';
import { ext4OnPartition, layout, xfsOnLvm, type Volume, withAgent } from '../harness/scenario.ts';

/** The common layouts are tested in `matrix/identity.test.ts`. */
const identity = suite(
  'a writable copy of a sealed system disk with another layout, and disks that are no copies',
);

const ext4 = ext4OnPartition;
const lvm = xfsOnLvm;
const bookworm = layout({ release: 'bookworm' });

identity(
  'XFS on LVM, in both orders, also after the disk with /home, of which there is a clone: sealed',
  () =>
    withCopy({ layout: bookworm }, (copy, home) =>
      withAgent({ layout: bookworm }, async (guest) => {
        const assertOrder = async (files: Record<string, string>, homeFirst: boolean) => {
          const drives = homeFirst ? [copy, home] : [copy];
          const boot = await withInitramfs(
            files,
            (bootFiles) => guest.boot({ disk: 'readonly', homeFirst, bootFiles, drives, steps }),
            () => agentTree(bookworm.release),
          );
          assertGenuine(boot);
          assert.equal(
            rejected(boot).map((line) => line.replace(/UUID=.*/, 'UUID')),
            [`/dev/vdd2 /dev/${homeFirst ? 'vdb2' : 'vda2'} UUID`],
          );
        };
        await assertOrder(copyFirst, false);
        await assertOrder(sealedFirst, true);
      }),
    ),
);

const label = { '/': 'e2label "$1" system' };

identity('ext4 by LABEL, the sealed disk first, and links to the copy: sealed', () =>
  withCopy({ layout: ext4, damage: label }, (copy) =>
    withAgent({ layout: ext4, damage: label }, (guest) =>
      withInitramfs({ ...sealedFirst, ...linksToCopy }, async (bootFiles) => {
        const words = ['root=LABEL=system'];
        assertGenuine(
          await guest.boot({ disk: 'readonly', bootFiles, drives: [copy], steps, arguments: words }),
        );
      }),
    ),
  ),
);

/** That they are no impostors in maintenance is tested in `selinux.test.ts`. */
identity(
  'another volume group of the same name on another bus; one for data and an ISO are no impostors: sealed',
  () => {
    // This layout is built separately, so its UUIDs differ.
    const other = layout({
      ...lvm,
      system: lvm.system.map((volume) => ({ ...volume, sizeMiB: volume.sizeMiB + 4 })),
    });
    return withCopy({ layout: other, bus: 'virtio-blk' }, (copy) =>
      withDataDisks((data) =>
        withAgent({ layout: lvm }, async (guest) => {
          const use = 'mount /dev/data/srv /srv && echo x >/srv/x && cat /srv/x';
          const boot = await guest.boot({
            ...{ disk: 'readonly', bus: 'virtio-scsi', drives: [copy, ...data] },
            steps: { ...steps, use },
          });
          assertGenuine(boot);
          // The kernel names the two SCSI disks in the order in which it finds them.
          assert.equal(
            rejected(boot).map((line) => line.replace(/sd[ab]/, 'sdX')),
            ['/dev/vdb2 /dev/sdX2 VG=rhel'],
          );
          assert.is(boot.step('use').stdout, 'x\n');
        }),
      ),
    );
  },
);

identity(
  '/usr, /var and /opt on partitions, by PARTUUID, the copy first also in the real root: sealed',
  () => {
    const more: Volume[] = [
      { target: '/usr', filesystem: 'ext4', sizeMiB: 1000, options: 'ro' },
      { target: '/var', filesystem: 'xfs', sizeMiB: 512 },
      { target: '/opt', filesystem: 'ext4', sizeMiB: 64, options: 'ro' },
    ];
    const divided = layout({ ...ext4, system: [...ext4.system, ...more] });
    return withCopy({ layout: divided, format: 'raw' }, (copy) =>
      withAgent({ layout: divided, edit: (root) => makeLateInRoot(root, 'sd*') }, async (guest) => {
        const boot = await guest.boot({
          ...{ disk: 'readonly', bus: 'virtio-scsi', drives: [copy], steps },
          arguments: [`root=PARTUUID=${await partitionUuid(copy.file, 1)}`],
        });
        assertGenuine(boot);
      }),
    );
  },
);

/** Returns the UUID of a partition, which the copy shares with the sealed disk. */
async function partitionUuid(image: string, index: number): Promise<string> {
  const { stdout } = await execa('sfdisk', ['--json', image]);
  const { partitiontable } = JSON.parse(stdout) as { partitiontable: { partitions: { uuid: string }[] } };
  // udev's links have lower case.
  return partitiontable.partitions[index]?.uuid.toLowerCase() ?? '';
}

identity.run();
