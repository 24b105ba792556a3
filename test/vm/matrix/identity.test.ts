import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertGenuine, copyFirst, rejected, steps } from '../harness/impostor-boot.ts';
import { linksToCopy, withCopy } from '../harness/impostor.ts';
import { mountRootBy, withInitramfs } from '../harness/initramfs.ts';
import { ext4OnPartition, withAgent, xfsOnLvm } from '../harness/scenario.ts';

/** Further layouts are tested in `long/identity-layouts.test.ts`. */
const identity = suite('a writable copy of the sealed system disk');

const ext4 = ext4OnPartition;

identity('ext4 by UUID, the copy first: sealed; with immutafs=off, the copy runs', () =>
  withCopy({ layout: ext4 }, (copy) =>
    withAgent({ layout: ext4 }, async (guest) => {
      const boot = (files: Record<string, string>, words: string[] = []) =>
        withInitramfs(files, (bootFiles) =>
          guest.boot({ disk: 'readonly', bootFiles, drives: [copy], steps, arguments: words }),
        );
      assertGenuine(await boot(copyFirst));

      // The counterpart. Without the agent in the initramfs, a copy runs, too (`long/identity-stacks.test.ts`).
      const off = await boot({ ...copyFirst, ...linksToCopy }, ['immutafs=off']);
      assert.is(off.step('planted').stdout, '/etc/planted\n/run/planted\n');
      assert.match(off.console, /PLANTED/);
    }),
  ),
);

/** The other order, and a clone of the disk with /home, are tested in `long/identity-layouts.test.ts`. */
identity('XFS on LVM, the copy first: sealed', () =>
  withCopy({ layout: xfsOnLvm }, (copy) =>
    withAgent({ layout: xfsOnLvm }, async (guest) => {
      const boot = await withInitramfs(copyFirst, (bootFiles) =>
        guest.boot({ disk: 'readonly', bootFiles, drives: [copy], steps }),
      );
      assertGenuine(boot);
      assert.equal(
        rejected(boot).map((line) => line.replace(/UUID=.*/, 'UUID')),
        ['/dev/vdd2 /dev/vda2 UUID'],
      );
    }),
  ),
);

/** Mounts the copy before the sealed disk can be mounted, as if a udev link pointed to the copy at that moment. */
const mountedFirst = {
  ...copyFirst,
  'usr/lib/systemd/system/immutafs-root.service': await mountRootBy(
    'mount -o ro /dev/disk/by-id/virtio-copy /sysroot',
  ),
};
const onlyRoot = `
  set -- "$1" $(sfdisk --dump "$1" | sed -n 's/.*start= *\\([0-9]*\\), size= *\\([0-9]*\\).*/\\1 \\2/p' | tail -n 1)
  dd if="$1" of="$1.root" bs=512 skip="$2" count="$3" status=none
  mv "$1.root" "$1"`;

/** ON_IMPOSTOR=poweroff, the default, is tested in `long/identity-stacks.test.ts`. */
identity('a copy of the root that is mounted already: the boot stops, ON_IMPOSTOR=emergency', () =>
  withInitramfs({ ...mountedFirst, 'etc/immutafs/immutafs.conf': 'ON_IMPOSTOR=emergency\n' }, (bootFiles) =>
    withCopy({ layout: ext4, change: onlyRoot }, (copy) =>
      withAgent({ layout: ext4 }, async (guest) => {
        const boot = await guest.boot({ disk: 'readonly', bootFiles, drives: [copy], steps });
        assert.is(boot.endedBy, 'emergency');
        assert.is(boot.done, false);
        assert.not.match(boot.console, /PLANTED/);
        assert.match(
          boot.console,
          /immutafs: \/ is mounted from \/dev\/vdd, which poses as \/dev\/vda2 \(UUID=/,
        );
      }),
    ),
  ),
);

identity.run();
