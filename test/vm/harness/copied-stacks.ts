import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { fstab } from './fstab.ts';
import { late, linksToCopy } from './impostor.ts';
import { beforeTheBoot, killedAndDegraded, mountRootBy, withInitramfs } from './initramfs.ts';
import type { Drive } from './qemu.ts';
import { type Boot, assertSealed, checkOf, ext4OnPartition, look, statusOf, withAgent } from './scenario.ts';
import { uuids, withStacks } from './stacks.ts';
import type { Stacks } from './stacks.ts';

const volumes = 'md luks';

/** vda is the system disk, vdb has /home, vdc is the harness's input. */
const [sealedDisk, copiedDisk] = ['vdd', 'vde'];

/**
 * Prepares the root of the guest. In the real root, udev finds the copy first. The LUKS volume is opened by a step,
 * because Debian's package of the tree has no unit for it.
 */
async function prepare(root: string): Promise<void> {
  await appendFile(
    join(root, 'etc/fstab'),
    `UUID=${uuids.md} /srv/md ext4 ro,nofail 0 0
UUID=${uuids.inLuks} /srv/luks ext4 ro,noauto 0 0
`,
  );
  await writeFile(join(root, 'etc/luks.key'), 'secret\n', { mode: 0o600 });
  for (const name of volumes.split(' ')) await mkdir(join(root, 'srv', name), { recursive: true });
  for (const [file, text] of Object.entries(late(`${sealedDisk}*`))) {
    const rule = join(root, file);
    await mkdir(dirname(rule), { recursive: true });
    await writeFile(rule, text);
  }
}

/**
 * Makes the volumes on one disk, copies the disk to another one, unplugs the first one, and writes to every volume of
 * the copy, which raises its event counts.
 */
const make = `
set -e
export LC_ALL=C
by_id=/dev/disk/by-id/virtio
with_volumes() { # $1: disk; $2: name of the file to create
  udevadm settle
  mdadm --stop --scan 2>/dev/null || true
  mdadm --assemble --run /dev/md/srv $1-part1 $1-part2
  mdadm --assemble --run /dev/md/root $1-part4 $1-part5
  cryptsetup open --key-file /etc/luks.key $1-part3 opened
  for name in ${volumes} root-md; do mkdir -p /run/volumes/$name; done
  mount /dev/md/srv /run/volumes/md
  mount /dev/mapper/opened /run/volumes/luks
  mount /dev/md/root /run/volumes/root-md
  for name in ${volumes} root-md/etc; do echo $2 >/run/volumes/$name/$2; done
  umount /run/volumes/*
  cryptsetup close opened
  mdadm --wait /dev/md/srv || true
  mdadm --stop /dev/md/srv
  mdadm --stop /dev/md/root
}
disk=$by_id-stack
mdadm --create /dev/md/srv --run --metadata=1.2 --bitmap=none --uuid=${uuids.array} --level=1 --raid-devices=2 $disk-part1 $disk-part2
mkfs.ext4 -q -U ${uuids.md} /dev/md/srv
mdadm --wait /dev/md/srv || true
mdadm --stop /dev/md/srv
# The members already contain the same data.
mdadm --create /dev/md/root --run --metadata=1.2 --data-offset=1M --bitmap=none --assume-clean --uuid=${uuids.rootArray} --level=1 --raid-devices=2 $disk-part4 $disk-part5
mdadm --stop /dev/md/root
cryptsetup luksFormat -q --uuid ${uuids.luks} --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $disk-part3 /etc/luks.key
cryptsetup open --key-file /etc/luks.key $disk-part3 opened
mkfs.ext4 -q -U ${uuids.inLuks} /dev/mapper/opened
cryptsetup close opened
with_volumes $disk genuine
sync
dd if=$disk of=$by_id-copy bs=4M conv=fsync,sparse status=none
device=$(realpath /sys/class/block/$(basename $(realpath $disk))/device/..)
echo 1 >"$device/remove"
udevadm settle
# udev has read the partition table if a device of the copy is busy.
blockdev --rereadpt $by_id-copy 2>/dev/null || true
for round in 1 2 3; do with_volumes $by_id-copy planted; done
`;

const open = `
  cryptsetup open --readonly --key-file /etc/luks.key /dev/disk/by-uuid/${uuids.luks} opened
  mount /srv/luks`;
const files = `for name in ${volumes}; do echo $name $(ls /srv/$name | grep -v lost+found); done`;

const rootArguments = [`root=UUID=${uuids.rootMd}`, `rd.md.uuid=${uuids.rootArray}`];
const steps = { open, files, root: 'ls /etc/genuine /etc/planted 2>/dev/null', ...look };
export const copyFirst = { ...late(`${sealedDisk}*`), ...linksToCopy };
export const sealedFirst = late(`${copiedDisk}*`);

/** Removes the agent from the initramfs. */
export const withoutHooks = {
  'usr/lib/udev/rules.d/63-immutafs-members.rules': '\n',
  'usr/lib/udev/rules.d/66-immutafs-readonly.rules': '\n',
  'usr/lib/systemd/system/immutafs-root.service': await mountRootBy('true'),
  ...beforeTheBoot(killedAndDegraded),
};

/** Calls `work` with the disk and its copy as they are in every boot but the first one, and with a guest. */
export async function withCopiedStacks(
  work: (
    boot: (files: Record<string, string>, drives?: Drive[]) => Promise<Boot>,
    stacks: Stacks,
  ) => Promise<void>,
): Promise<void> {
  const prepareRoot = async (root: string): Promise<void> => {
    await writeFile(join(root, 'etc/fstab'), fstab(ext4OnPartition));
    await prepare(root);
  };
  await withStacks(prepareRoot, (disks) =>
    withAgent({ layout: ext4OnPartition, edit: prepare }, async (guest) => {
      const made = await guest.boot({
        ...{ disk: 'writable', drives: disks.writable, steps: { make }, limitSeconds: 600 },
        // The array does not exist yet.
        arguments: ['systemd.mask=srv-md.mount'],
      });
      assert.is(made.step('make').exit, 0, made.step('make').stderr);
      await work(
        (files, drives = disks.sealed) =>
          withInitramfs(files, (bootFiles) =>
            guest.boot({ disk: 'readonly', bootFiles, drives, steps, arguments: rootArguments }),
          ),
        disks,
      );
    }),
  );
}

/** Asserts that everything is mounted from the sealed disk, and that the check names every copy. */
export function assertGenuine(boot: Boot): void {
  assert.is(boot.step('root').stdout, '/etc/genuine\n');
  assert.is(boot.step('open').exit, 0, boot.step('open').stderr);
  assert.is(boot.step('files').stdout, 'md genuine\nluks genuine\n');
  const report = assertSealed(boot);
  const { status, subject } = checkOf(report, 'impostor-absent');
  assert.is(status, 'warn');
  for (const number of [1, 2, 3, 4, 5]) {
    assert.ok(subject.includes(`/dev/${copiedDisk}${number}`), subject);
  }
}

/**
 * Asserts that a boot without the agent in the initramfs runs from a root with files of the copy, and that the check
 * fails.
 */
export function assertTaken(boot: Boot): void {
  assert.is(boot.step('root').stdout, '/etc/genuine\n/etc/planted\n');
  const { report } = statusOf(boot);
  assert.is(checkOf(report, 'mounts-genuine').status, 'fail');
  assert.is(report.mode, 'sealed');
}
