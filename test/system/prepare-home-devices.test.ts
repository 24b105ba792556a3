/**
 * Tests `prepare --only home` with unsuitable devices, and with a /home that is already a mount (small system, loop
 * devices).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf, runHomeScript as inSmallSystem } from '../harness/home-step.ts';

const refused = suite('prepare: devices that cannot become /home');
const plan = 'home --home-device "$disk" && echo no';

refused('an empty disk is accepted, and planning changes nothing', () => {
  const script = `fill; sync; sha256sum "$disk" /etc/fstab >/run/before; home --home-device $disk || true
    sync; sha256sum "$disk" /etc/fstab | cmp - /run/before; find /run /var/lib -name 'prepare*'`;
  const stdout = outputOf(script);
  assert.match(
    stdout,
    /^needed +home: .*; it moves to (\S+)\. > parted -s -a optimal \1 mklabel .* > mkfs\.xfs .* > rsync /,
  );
  assert.is(stdout.trimEnd().split('\n').length, 1, stdout);
});

for (const [title, setUp, reason, command = plan] of [
  ["the system's own disk", '', /is the system's own disk \([^)]*\), which/, 'home --home-device "$system"'],
  [
    "the system's own disk, though --wipe names it",
    '',
    /is the system's own disk/,
    'home --home-device "$system" --wipe "$system"',
  ],
  [
    'a device that does not exist',
    '',
    /\/dev\/nothing is not a block device/,
    'home --home-device /dev/nothing',
  ],
  ['without a disk', '', /Name a disk for it: --home-device|Give the guest a second disk/, 'home'],
  [
    'a partition table',
    'parted -s "$disk" mklabel gpt 2>/dev/null',
    /is not empty: it contains a partition table\. To destroy this content, add --wipe \/dev\/loop\d+\./,
  ],
  [
    'a partition with a file system',
    'parted -s "$disk" mklabel msdos mkpart primary 0% 100% 2>/dev/null; mkfs.xfs -q -L old "$disk"p1',
    /a partition table, the partition \S+p1 with a file system \(xfs, label old, UUID/,
  ],
  [
    'a partition, not its disk',
    'parted -s "$disk" mklabel gpt mkpart x 0% 100% 2>/dev/null',
    /is a partition: name the whole disk/,
    'home --home-device "$disk"p1',
  ],
  ['a file system', 'mkfs.ext4 -q -L data "$disk"', /it contains a file system \(ext4, label data/],
  ['LVM', 'LVM_SYSTEM_DIR=/run pvcreate -qq "$disk" 2>/dev/null', /it contains a physical volume of LVM/],
  ['swap space', 'mkswap -q "$disk"', /it contains swap space/],
  [
    'data of an unknown kind',
    'printf x | dd of="$disk" bs=1 seek=9999 status=none',
    /data of an unknown kind/,
  ],
  [
    'data at its end',
    'printf x | dd of="$disk" bs=1 seek=$(($(blockdev --getsize64 "$disk") - 9)) status=none',
    /data of an unknown kind/,
  ],
  [
    'a progress marker on a disk with other partitions',
    'printf "immutafs home making - 1\\n" | dd of="$disk" bs=1 seek=524288 status=none; parted -s "$disk" mklabel gpt mkpart mine 2MiB 100% 2>/dev/null',
    /it contains a partition table, the partition/,
  ],
  [
    'a mounted disk, though --wipe names it',
    'mkfs.ext4 -q "$disk"; mount "$disk" /srv',
    /is mounted at \/srv/,
    `${plan} --wipe "$disk"`,
  ],
  [
    'a disk that fstab names',
    'echo "$disk /data xfs defaults 0 0" >>/etc/fstab',
    /is named in line 3 of \/etc\/fstab, for \/data/,
  ],
  ['a read-only disk', 'trap "blockdev --setrw $disk" EXIT; blockdev --setro "$disk"', /is read-only\./],
  [
    'with a mount below /home',
    'mkdir /home/x; mount -t tmpfs x /home/x',
    /Mounted below \/home, where the new \/home would hide them: \/home\/x/,
  ],
  [
    'a file system that does not exist',
    '',
    /UUID=1-2 is not a file system of this guest/,
    'home --home-uuid 1-2',
  ],
] as const) {
  refused(title, () => {
    const { code, stdout, stderr } = inSmallSystem(`${setUp}\n${command}`);
    assert.match(stdout, /^blocked +home: /, stdout + stderr);
    assert.match(stdout, reason);
    assert.is(code, 1);
  });
}

refused('a disk that is too small, by its size', () => {
  const { stdout } = inSmallSystem(`head -c 60000000 /dev/urandom >/home/much; ${plan}`, 100);
  assert.match(stdout, / is too small: \/home takes 57 MiB, a disk of 100 MiB holds about 17 MiB/);
});

refused('--wipe: the disk loses its content, and the plan says so', () => {
  const script = `mkfs.ext4 -q "$disk"; fill; home --home-device "$disk" --wipe "$disk" || true
    home --apply --yes --home-device "$disk" --wipe "$disk"; findmnt -n -o SOURCE,FSTYPE /home | tail -n 1`;
  assert.match(
    outputOf(script),
    /The content of \S+ is lost: a file system \(ext4[\s\S]*\/dev\/loop\d+p1 +xfs\n$/,
  );
});
refused.run();

const options = suite('prepare: /home is a mount already');
options('the options of /home are corrected in fstab and on the mount', () => {
  const script = `mkfs.xfs -q "$disk"; mount "$disk" /home; echo "$disk /home xfs defaults,uquota 0 0" >>/etc/fstab
    home || true; home --apply --yes; tail -n 1 /etc/fstab; findmnt -n -o OPTIONS /home`;
  const stdout = outputOf(script);
  assert.match(stdout, /^needed +home: .*missing: noexec, nosuid, nodev/);
  assert.match(stdout, /\n\S+ \/home xfs defaults,uquota,noexec,nosuid,nodev 0 0\nrw,nosuid,nodev,noexec/);
});
options('a /home that a unit mounts must be changed manually', () => {
  const script =
    'mkdir -p /etc/systemd/system; touch /etc/systemd/system/home.mount; mkfs.xfs -q "$disk"; mount "$disk" /home; home';
  assert.match(inSmallSystem(script).stdout, /^by hand +home: .*No line of \/etc\/fstab mounts it/);
});
options('without a line in fstab, /home gets a line if an option names its device', () => {
  const script = `mkfs.xfs -q "$disk"; mount "$disk" /home; home || echo -; echo "$volume /home xfs defaults 0 0" >>/etc/fstab; home || true
    name_by_uuid "$disk"; home --apply --yes --home-uuid "$uuid"; tail -n 2 /etc/fstab; findmnt -n -o OPTIONS /home`;
  const stdout = outputOf(script);
  assert.match(
    stdout,
    /^blocked +home: .*\/etc\/fstab names no \/home\. Name it with --home-device or --home-uuid/,
  );
  assert.match(stdout, /\nblocked +home: .*\/etc\/fstab names \/dev\/loop\d+p2\./);
  assert.match(
    stdout,
    /\n#\S+ \/home xfs defaults 0 0\nUUID=\S+ \/home xfs rw,noexec,nodev,nosuid 0 0\nrw,nosuid,nodev,noexec/,
  );
});
options('with correct options, there is nothing to do', () => {
  const script =
    'mkfs.xfs -q "$disk"; mount -o nosuid,noexec,nodev "$disk" /home; echo "$disk /home xfs noexec,nosuid,nodev 0 0" >>/etc/fstab; home';
  assert.match(outputOf(script), /^done +home: /);
});
options.run();
