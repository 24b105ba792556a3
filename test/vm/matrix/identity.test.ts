import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { late, withCopy } from '../harness/impostor.ts';
import { withInitramfs } from '../harness/initramfs.ts';
import type { Drive } from '../harness/qemu.ts';
import { withRunFolder } from '../harness/run-folder.ts';
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
  planted: 'ls /etc/planted /run/planted /var/planted /opt/planted',
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

for (const [order, files] of Object.entries({
  'the copy first': copyFirst,
  'the sealed disk first': sealedFirst,
})) {
  identity(`XFS on LVM, ${order}: sealed`, () =>
    withCopy({ layout: lvm }, (copy) =>
      withInitramfs(files, (bootFiles) =>
        withAgent({ layout: lvm }, async (guest) => {
          const boot = await guest.boot({ disk: 'readonly', bootFiles, drives: [copy], steps });
          assertGenuine(boot);
          assert.equal(
            rejected(boot).map((line) => line.replace(/UUID=.*/, 'UUID')),
            ['/dev/vdd2 /dev/vda2 UUID'],
          );
        }),
      ),
    ),
  );
}

identity('another volume group of the same name on another bus: sealed', () => {
  // This layout is built separately, so its UUIDs differ.
  const other = layout({
    ...lvm,
    system: lvm.system.map((volume) => ({ ...volume, sizeMiB: volume.sizeMiB + 4 })),
  });
  return withCopy({ layout: other, bus: 'virtio-blk' }, (copy) =>
    withAgent({ layout: lvm }, async (guest) => {
      const boot = await guest.boot({ disk: 'readonly', bus: 'virtio-scsi', drives: [copy], steps });
      assertGenuine(boot);
      // The kernel names the two SCSI disks in the order in which it finds them.
      assert.equal(
        rejected(boot).map((line) => line.replace(/sd[ab]/, 'sdX')),
        ['/dev/vdb2 /dev/sdX2 VG=rhel'],
      );
    }),
  );
});

identity('/var and /opt on partitions, udev finds the copy first also in the real root: sealed', () => {
  const more: Volume[] = [
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
      const boot = await guest.boot({ disk: 'readonly', bus: 'virtio-scsi', drives: [copy], steps });
      assertGenuine(boot);
    }),
  );
});

/** Mounts the copy before the sealed disk can be mounted, as if a udev link pointed to the copy at that moment. */
const mountedFirst = (device: string) => ({
  ...copyFirst,
  'usr/libexec/immutafs/mount-readonly': `#!/bin/sh\nmount -o ro /dev/disk/by-id/virtio-copy${device} /sysroot\n`,
});
const onlyRoot = `
  set -- "$1" $(sfdisk --dump "$1" | sed -n 's/.*start= *\\([0-9]*\\), size= *\\([0-9]*\\).*/\\1 \\2/p' | tail -n 1)
  dd if="$1" of="$1.root" bs=512 skip="$2" count="$3" status=none
  mv "$1.root" "$1"`;
/** Makes udev's links always point to the copy. Without this rule, the target of the links depends on a race. */
const linksToCopy = {
  'usr/lib/udev/rules.d/99-copy.rules':
    'SUBSYSTEM=="block", ENV{ID_SERIAL}=="copy", OPTIONS+="link_priority=500"\n',
};

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
    false,
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

identity('a volume group for data and an ISO are no impostors, sealed and in maintenance', () =>
  withAgent({}, async (guest) => {
    const group =
      'set -e; disk=/dev/disk/by-id/virtio-data; pvcreate -q $disk; vgcreate -q data $disk; lvcreate -q -n srv -L 32m data; mkfs.ext4 -q /dev/data/srv';
    await withDataDisks(async (drives) => {
      const made = await guest.boot({ disk: 'writable', drives, steps: { group, ...look } });
      assert.is(made.step('group').exit, 0, made.step('group').stderr);
      assert.is(made.step('status').exit, 4);
      const use = 'mount /dev/data/srv /srv && echo x >/srv/x && cat /srv/x';
      const boot = await guest.boot({ disk: 'readonly', drives, steps: { ...steps, use } });
      assertGenuine(boot);
      assert.equal(rejected(boot), []);
      assert.is(boot.step('use').stdout, 'x\n');
    });
  }),
);

/** Calls `work` with a writable disk, and a read-only disk with a file system. */
async function withDataDisks(work: (drives: Drive[]) => Promise<void>): Promise<void> {
  await withRunFolder(async (folder) => {
    const drive = (serial: string, readOnly: boolean): Drive => ({
      ...({ serial, file: join(folder, serial), format: 'raw', bus: 'virtio-blk' } as const),
      readOnly,
    });
    await execa('truncate', ['--size', '64M', join(folder, 'data'), join(folder, 'iso')]);
    await execa('mkfs.ext4', ['-q', '-L', 'home', join(folder, 'iso')]);
    await work([drive('iso', true), drive('data', false)]);
  });
}

identity.run();
