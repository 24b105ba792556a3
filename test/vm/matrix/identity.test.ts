import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertGenuine, copyFirst, rejected, sealedFirst, steps } from '../harness/impostor-boot.ts';
import { linksToCopy, withCopy } from '../harness/impostor.ts';
import { withInitramfs } from '../harness/initramfs.ts';
import { type Boot, ext4OnPartition, xfsOnLvm, withAgent, withoutAgent } from '../harness/scenario.ts';
import { ordinaryTree } from '../harness/tree.ts';

/** Further layouts are tested in `long/identity-layouts.test.ts`. */
const identity = suite('a writable copy of the sealed system disk');

const ext4 = ext4OnPartition;
const lvm = xfsOnLvm;

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
