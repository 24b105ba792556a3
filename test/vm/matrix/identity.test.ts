import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withDataDisks } from '../harness/data-disks.ts';
import { late, linksToCopy, withCopy } from '../harness/impostor.ts';
import { withInitramfs } from '../harness/initramfs.ts';
import {
  assertSealed,
  ext4OnPartition,
  layout,
  look,
  withAgent,
  withoutAgent,
  xfsOnLvm,
} from '../harness/scenario.ts';
import type { Boot, Volume } from '../harness/scenario.ts';
import { ordinaryTree } from '../harness/tree.ts';

const identity = suite('a writable copy of the sealed system disk');

/** vda is the system disk, vdb has /home, vdc is the harness's input, vdd is the copy. */
const copyFirst = late('vda*');
const sealedFirst = late('vdd*');

const ext4 = ext4OnPartition;
const lvm = xfsOnLvm;

const steps = {
  ...look,
  planted: 'ls /etc/planted /run/planted /usr/planted /var/planted /opt/planted',
  env: 'cat /run/immutafs/boot.env',
  // Prints the disk from which / is mounted.
  disks: 'lsblk -nso TYPE,NAME "$(findmnt -no SOURCE /)" | tail -n 1',
};

/** Asserts that the guest runs from the sealed disk, that nothing of the copy runs, and that every check passes. */
function assertGenuine(boot: Boot): void {
  assert.is(boot.step('planted').stdout, '');
  assert.not.match(boot.console, /PLANTED/);
  assertSealed(boot);
}

/** Returns the copies that the boot recorded and did not use, each as "device sealed-device identity". */
function rejected(boot: Boot): string[] {
  const lines = boot.step('env').stdout.split('\n');
  return lines.flatMap((line) => /^IMPOSTOR=(.*)/.exec(line)?.[1] ?? []);
}

const label = { '/': 'e2label "$1" system' };

identity('ext4 by UUID and by LABEL, in both orders: sealed', () =>
  withCopy({ layout: ext4, damage: label }, (copy) =>
    withAgent({ layout: ext4, damage: label }, async (guest) => {
      const boot = (files: Record<string, string>, words: string[] = []) =>
        withInitramfs(files, (bootFiles) =>
          guest.boot({ disk: 'readonly', bootFiles, drives: [copy], steps, arguments: words }),
        );
      const first = await boot(copyFirst);
      assertGenuine(first);
      const second = await boot({ ...sealedFirst, ...linksToCopy }, ['root=LABEL=system']);
      assertGenuine(second);
    }),
  ),
);

for (const [order, files, homeFirst] of [
  ['the copy first', copyFirst, false],
  ['the sealed disk first, after the disk with /home, of which there is a clone', sealedFirst, true],
] as const) {
  identity(`XFS on LVM, ${order}: sealed`, () =>
    withCopy({ layout: lvm }, (copy, home) =>
      withInitramfs(files, (bootFiles) =>
        withAgent({ layout: lvm }, async (guest) => {
          const drives = homeFirst ? [copy, home] : [copy];
          const boot = await guest.boot({ disk: 'readonly', homeFirst, bootFiles, drives, steps });
          assertGenuine(boot);
          assert.equal(
            rejected(boot).map((line) => line.replace(/UUID=.*/, 'UUID')),
            [`/dev/vdd2 /dev/${homeFirst ? 'vdb2' : 'vda2'} UUID`],
          );
        }),
      ),
    ),
  );
}

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
    const lateInRoot = async (root: string) => {
      for (const [path, text] of Object.entries(late('sd*'))) {
        const file = join(root, 'etc/udev/rules.d', path.replace(/.*\//, ''));
        await mkdir(join(root, 'etc/udev/rules.d'), { recursive: true });
        await writeFile(file, text);
      }
    };
    return withCopy({ layout: divided }, (copy) =>
      withAgent({ layout: divided, edit: lateInRoot }, async (guest) => {
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

/** Mounts the copy before the sealed disk can be mounted, as if a udev link pointed to the copy at that moment. */
const mountedFirst = (device: string) => ({
  ...copyFirst,
  'usr/libexec/immutafs/mount-readonly': `#!/bin/sh\nmount -o ro /dev/disk/by-id/virtio-copy${device} /sysroot\n`,
});
const onlyRoot = `
  set -- "$1" $(sfdisk --dump "$1" | sed -n 's/.*start= *\\([0-9]*\\), size= *\\([0-9]*\\).*/\\1 \\2/p' | tail -n 1)
  dd if="$1" of="$1.root" bs=512 skip="$2" count="$3" status=none
  mv "$1.root" "$1"`;
for (const [policy, endedBy] of [
  ['poweroff', 'poweroff'],
  ['emergency', 'emergency'],
] as const) {
  identity(`a copy of the root that is mounted already: the boot stops, ON_IMPOSTOR=${policy}`, () =>
    withInitramfs(
      { ...mountedFirst(''), 'etc/immutafs/immutafs.conf': `ON_IMPOSTOR=${policy}\n` },
      (bootFiles) =>
        withCopy({ layout: ext4, change: onlyRoot }, (copy) =>
          withAgent({ layout: ext4 }, async (guest) => {
            const boot = await guest.boot({ disk: 'readonly', bootFiles, drives: [copy], steps });
            assertStopped(boot, endedBy);
          }),
        ),
    ),
  );
}

function assertStopped(boot: Boot, endedBy: Boot['endedBy']): void {
  assert.is(boot.endedBy, endedBy);
  assert.is(boot.done, false);
  assert.not.match(boot.console, /PLANTED/);
  assert.match(boot.console, /immutafs: \/ is mounted from \/dev\/vdd, which poses as \/dev\/vda2 \(UUID=/);
}

identity('without the agent, the copy runs', async () => {
  const tree = await ordinaryTree();
  await withInitramfs(
    linksToCopy,
    (bootFiles) =>
      withCopy({ layout: ext4, tree }, (copy) =>
        withoutAgent({ layout: ext4 }, async (guest) => {
          const { planted } = steps;
          const boot = await guest.boot({ disk: 'readonly', bootFiles, drives: [copy], steps: { planted } });
          assert.is(boot.step('planted').stdout, '/etc/planted\n/run/planted\n');
          assert.match(boot.console, /PLANTED/);
        }),
      ),
    ordinaryTree,
  );
});

identity('immutafs=off: the copy boots', () =>
  withInitramfs(mountedFirst('-part2'), (bootFiles) =>
    withCopy({ layout: ext4 }, (copy) =>
      withAgent({ layout: ext4 }, async (guest) => {
        const { planted } = steps;
        const boot = await guest.boot({
          ...{ disk: 'readonly', bootFiles, drives: [copy] },
          ...{ steps: { planted }, arguments: ['immutafs=off'] },
        });
        assert.match(boot.step('planted').stdout, /planted/);
      }),
    ),
  ),
);

identity.run();
