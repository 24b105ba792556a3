import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertGenuine, copyFirst, rejected, steps } from '../harness/impostor-boot.ts';
import { linksToCopy, makeLateInRoot, withCopy } from '../harness/impostor.ts';
import { mountRootBy, withInitramfs } from '../harness/initramfs.ts';
import { ext4OnPartition, layout, withAgent, xfsOnLvm } from '../harness/scenario.ts';

/** Further layouts are tested in `long/identity-layouts.test.ts`. */
const identity = suite('a writable copy of the sealed system disk');

const ext4 = ext4OnPartition;

/** Prints the first sector of the image's last partition and the number of its sectors. */
const placeOfLastPartition =
  'sfdisk --dump "$1" | sed -n \'s/.*start= *\\([0-9]*\\), size= *\\([0-9]*\\).*/\\1 \\2/p\' | tail -n 1';

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

const withOpt = layout({
  system: [...xfsOnLvm.system, { target: '/opt', filesystem: 'ext4', sizeMiB: 64, options: 'ro' }],
});

/**
 * Makes a disk without partitions of the copy: a physical volume with newer metadata of the group, in which the volume of /opt is
 * on this disk.
 */
const newerMetadata = `
  set -- "$1" $(${placeOfLastPartition})
  export LVM_SYSTEM_DIR="$1.lvm" LVM_SUPPRESS_FD_WARNINGS=1
  mkdir -p "$1.lvm/opt" && touch "$1.lvm/opt/planted"
  truncate --size 160M "$1.new"
  sealed=$(losetup --find --show --offset "$(($2 * 512))" --sizelimit "$(($3 * 512))" "$1")
  new=$(losetup --find --show "$1.new")
  trap 'losetup --detach "$sealed" "$new"' EXIT
  change() {
    "$@" --quiet --driverloaded n --devices "$sealed,$new" \
      --config 'backup { backup=0 archive=0 } activation { udev_sync=0 udev_rules=0 } devices { use_devicesfile=0 }'
  }
  change pvcreate "$new"
  change vgextend rhel "$new"
  change vgcfgbackup --file "$1.metadata" rhel
  sed -i '/^\t\topt {/,/^\t\t}/ s/"pv0", [0-9]*/"pv1", 0/' "$1.metadata"
  grep -q '"pv1", 0' "$1.metadata"
  change vgcfgrestore --file "$1.metadata" rhel
  mkfs.ext4 -q -E offset=1048576 -d "$1.lvm/opt" "$new" 64M
  mv "$1.new" "$1"`;
/** For udev, the disk is BlueStore. */
const hiddenVolume = `${newerMetadata}
  printf 'bluestore block device\n' | dd of="$1" conv=notrunc,fsync status=none`;

identity(
  'newer metadata of the volume group behind another signature: sealed; with immutafs=off, it is used',
  () =>
    withCopy({ layout: withOpt, change: hiddenVolume }, (copy) =>
      withAgent({ layout: withOpt }, async (guest) => {
        // The initramfs activates each volume of the group. With a filter, dracut does not limit LVM to the volumes that udev reports.
        const filter = { 'etc/lvm/lvm.conf': 'devices {\n\tglobal_filter = [ "a|.*|" ]\n}\n' };
        const boot = (disk: 'readonly' | 'writable', words: string[]) =>
          withInitramfs(filter, (bootFiles) =>
            guest.boot({
              ...{ disk, bootFiles, drives: [copy], steps },
              arguments: ['rd.lvm.vg=rhel', ...words],
            }),
          );
        const sealed = await boot('readonly', []);
        assertGenuine(sealed);
        assert.equal(rejected(sealed), ['/dev/vdd /dev/vda2 VG=rhel']);

        // The counterpart. LVM without the agent does not activate a group on a read-only disk.
        const off = await boot('writable', ['immutafs=off']);
        assert.is(off.step('planted').stdout, '/opt/planted\n');
      }),
    ),
);

identity(
  'newer metadata of the volume group on a disk that only the real root has: sealed; with immutafs=off, it is used',
  () =>
    withCopy({ layout: withOpt, change: newerMetadata, bus: 'virtio-scsi' }, (copy) =>
      withAgent({ layout: withOpt, edit: (root) => makeLateInRoot(root, 'vda*') }, async (guest) => {
        const withoutDriver = { 'etc/modprobe.d/copy.conf': 'install virtio_scsi /bin/false\n' };
        const boot = (disk: 'readonly' | 'writable', words: string[]) =>
          withInitramfs(withoutDriver, (bootFiles) =>
            guest.boot({
              ...{ disk, drives: [copy], bootFiles },
              steps: { ...steps, opt: 'lsblk -nsro NAME "$(findmnt -no SOURCE /opt)" | tail -n 1' },
              arguments: words,
            }),
          );
        const sealed = await boot('readonly', []);
        assertGenuine(sealed);
        assert.is(sealed.step('opt').stdout, 'vda\n');

        // The counterpart, as above.
        const off = await boot('writable', ['immutafs=off']);
        assert.is(off.step('planted').stdout, '/opt/planted\n');
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
  set -- "$1" $(${placeOfLastPartition})
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
