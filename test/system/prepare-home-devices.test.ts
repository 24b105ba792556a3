/**
 * Tests `prepare --only home` with unsuitable devices, and with a /home that is already a mount (small system, loop
 * devices).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf } from '../harness/home-step.ts';

const refused = suite('prepare: devices that cannot become /home');

refused('an empty disk is accepted, and planning changes nothing', () => {
  const script = `fill; sync; sha256sum "$disk" /etc/fstab >/run/before; home --home-device $disk || true
    sync; sha256sum "$disk" /etc/fstab | cmp - /run/before; find /run /var/lib -name 'prepare*'`;
  const stdout = outputOf(script);
  assert.match(
    stdout,
    /^needed +home: .*; it moves to (\S+) in the next maintenance boot\. > parted -s -a optimal \1 mklabel .* > mkfs\.xfs .* > at the next boot: move \/home to \1,/,
  );
  assert.is(stdout.trimEnd().split('\n').length, 1, stdout);
});

/** What is done to the disk or the guest, the reason of the refusal, and the options. */
const rows: [string, RegExp, string?][] = [
  ['true', /is the system's own disk \([^)]*\), which/, '--home-device "$system"'],
  ['true', /is the system's own disk/, '--home-device "$system" --wipe "$system"'],
  ['true', /\/dev\/nothing is not a block device/, '--home-device /dev/nothing'],
  ['true', /Name a disk for it: --home-device|Give the guest a second disk/, ''],
  ['true', /UUID=1-2 is not a file system of this guest/, '--home-uuid 1-2'],
  [
    'parted -s "$disk" mklabel gpt',
    /is not empty: it contains a partition table\. To destroy this content, add --wipe \/dev\/loop\d+\./,
  ],
  [
    'parted -s "$disk" mklabel msdos mkpart primary 0% 100%; mkfs.xfs -q -L old "$disk"p1',
    /a partition table, the partition \S+p1 with a file system \(xfs, label old, UUID/,
  ],
  [
    'parted -s "$disk" mklabel gpt mkpart x 0% 100%',
    /is a partition: name the whole disk/,
    '--home-device "$disk"p1',
  ],
  ['mkfs.ext4 -q -L data "$disk"', /it contains a file system \(ext4, label data/],
  ['LVM_SYSTEM_DIR=/run pvcreate -qq "$disk"', /it contains a physical volume of LVM/],
  ['mkswap -q "$disk"', /it contains swap space/],
  ['printf x | dd of="$disk" bs=1 seek=9999', /data of an unknown kind/],
  ['printf x | dd of="$disk" bs=1 seek=$(($(blockdev --getsize64 "$disk") - 9))', /data of an unknown kind/],
  [
    // A progress marker on a disk with other partitions.
    'printf "immutafs home making - 1\\n" | dd of="$disk" bs=1 seek=524288; parted -s "$disk" mklabel gpt mkpart mine 2MiB 100%',
    /it contains a partition table, the partition/,
  ],
  ['mkfs.ext4 -q "$disk"; mount "$disk" /srv', /is mounted at \/srv/, '--home-device "$disk" --wipe "$disk"'],
  ['echo "$disk /data xfs defaults 0 0" >>/etc/fstab', /is named in line 3 of \/etc\/fstab, for \/data/],
  ['blockdev --setro "$disk"', /is read-only: name another disk/],
  [
    'mkdir /home/x; mount -t tmpfs x /home/x',
    /Mounted below \/home, where the new \/home would hide them: \/home\/x/,
  ],
];
refused('each reason is named, and nothing is planned', () => {
  const script = rows.map(
    ([setUp, , options = '--home-device "$disk"']) => `{ ${setUp}; } 2>/dev/null
      home ${options} && exit 1 || test $? = 1; umount /srv /home/x 2>/dev/null || true; cp /run/fstab /etc/fstab
      blockdev --setrw "$disk"; partx -d "$disk" 2>/dev/null || true; blkdiscard -z "$disk"; blockdev --rereadpt "$disk"`,
  );
  const plans = outputOf(`cp /etc/fstab /run/fstab; ${script.join('\n')}`)
    .trimEnd()
    .split('\n');
  assert.is(plans.length, rows.length);
  for (const [index, [setUp, reason]] of rows.entries())
    assert.ok(
      /^blocked +home: /.test(plans[index] ?? '') && reason.test(plans[index] ?? ''),
      `${setUp}: ${plans[index]}`,
    );
});

refused('a disk that is too small, by its size', () => {
  const stdout = outputOf(
    `head -c 60000000 /dev/urandom >/home/much; home --home-device "$disk" || true`,
    100,
  );
  assert.match(stdout, /^blocked .* is too small: \/home takes 57 MiB, a disk of 100 MiB holds about 17 MiB/);
});

refused('--wipe: the disk loses its content, and the plan says so', () => {
  const script = `mkfs.ext4 -q "$disk"; fill; home --home-device "$disk" --wipe "$disk" || true
    home --apply --yes --home-device "$disk" --wipe "$disk" || true; name_disks; boot; findmnt -n -o SOURCE,FSTYPE /home | tail -n 1`;
  assert.match(
    outputOf(script),
    /The content of \S+ is lost: a file system \(ext4[\s\S]*\/dev\/loop\d+p1 +xfs\n$/,
  );
});
refused('a disk that another process holds for a moment, as udev does, is used nevertheless', () => {
  const hold =
    'import os, sys, time; os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL); print("held", flush=True); time.sleep(2)';
  const script = `mkfs.xfs -q "$disk"; name_disks; uuid=$(blkid -p -s UUID -o value "$disk"); fill
    python3 -c '${hold}' "$disk" >/run/held & until grep -q held /run/held; do sleep 0.1; done
    home --apply --yes --home-uuid "$uuid" || test -e "$marker"`;
  assert.match(outputOf(script), /\nat next boot +home: \/home moves to /);
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
    'mkdir -p /etc/systemd/system; touch /etc/systemd/system/home.mount; mkfs.xfs -q "$disk"; mount "$disk" /home; home || true';
  assert.match(outputOf(script), /^by hand +home: .*No line of \/etc\/fstab mounts it/);
});
options('without a line in fstab, /home gets a line if an option names its device', () => {
  const script = `mkfs.xfs -q "$disk"; mount "$disk" /home; home || echo -; echo "$volume /home xfs defaults 0 0" >>/etc/fstab; home || true
    name_disks; uuid=$(blkid -p -s UUID -o value "$disk"); home --apply --yes --home-uuid "$uuid"; tail -n 2 /etc/fstab; findmnt -n -o OPTIONS /home`;
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
