/** Steps in which root of a sealed guest runs programs that did not come from the sealed disk. */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { programMessage } from '../../../agent/report/log.ts';
import { look } from '../harness/scenario.ts';

/** With SELinux, systemd itself may not execute a file of /var or /home; env may, in the domain of an ordinary service. */
const start = (name: string, command: string, options = '') =>
  `systemd-run -q --unit=foreign-${name} ${options} /usr/bin/env ${command}`;

/** Executes a copy of sleep in a file without a name. 319 is memfd_create(2) on x86-64. */
const memfd =
  'my $name = "hidden"; my $fd = syscall(319, $name, 0); open(my $out, ">&=", $fd) or die; ' +
  'open(my $in, "<", "/usr/bin/sleep") or die; local $/; print {$out} <$in>; $out->flush; ' +
  'exec "/proc/self/fd/$fd", "600"';

/** Makes a disk of scsi_debug with a program, write-protects the disk, and mounts it on /media. */
const protectDisk = [
  'modprobe scsi_debug dev_size_mb=32 && udevadm settle',
  'disk=$(basename /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block/*)',
  'mkfs.ext4 -q "/dev/$disk" && mount "/dev/$disk" /media && cp /usr/bin/sleep /media/copied && umount /media',
  'echo 1 >/sys/module/scsi_debug/parameters/wp && echo 1 >"/sys/class/block/$disk/device/rescan"',
  'udevadm trigger --action=change --sysname-match="$disk" && udevadm settle',
  'grep -q 1 "/sys/class/block/$disk/ro" && mount -o ro "/dev/$disk" /media',
];

/** Mounts the root's volume once more, by its table with a change. The volume itself is in use. */
const mapAgain = (name: string, change: string, folder: string) => [
  `dmsetup table "$(findmnt -n -o SOURCE /)" | sed '${change}' | dmsetup create --readonly ${name}`,
  `udevadm settle && mount -o ro,nouuid,norecovery /dev/mapper/${name} ${folder}`,
];

const key = (bytes: number) => '5a'.repeat(bytes);
/** By name: a table over a loop device, and what immutafs-boot prints for it. */
export const checkedTables: Record<string, [table: string, target: string]> = {
  linear: ['0 2048 linear $disk 0', ''],
  striped: ['0 2048 striped 1 8 $disk 0', ''],
  mirror: ['0 2048 mirror core 2 64 nosync 2 $disk 0 $disk 2048', ''],
  multipath: ['0 2048 multipath 0 0 1 1 round-robin 0 1 1 $disk 1', ''],
  origin: ['0 2048 snapshot-origin $disk', ''],
  xts: [`0 2048 crypt aes-xts-plain64 ${key(64)} 0 $disk 0`, ''],
  essiv: [`0 2048 crypt aes-cbc-essiv:sha256 ${key(32)} 0 $disk 0`, ''],
  cbc: [`0 2048 crypt aes-cbc-plain64 ${key(32)} 0 $disk 0`, ' crypt'],
  null: ['0 2048 crypt cipher_null-ecb - 0 $disk 0', ' crypt'],
  zero: ['0 2048 zero', ' zero'],
  error: ['0 2048 error', ' error'],
  last: ['0 1024 linear $disk 0\\n1024 1024 zero', ' zero'],
  // More than the first buffer of immutafs-boot, 16 KiB.
  long: ['$(seq 0 8 8184 | sed "s,.*,& 8 linear $disk &,")', ''],
};
const checkTables = [
  'truncate --size 8M /run/tables && disk=$(losetup --find --show --read-only /run/tables)',
  ...Object.entries(checkedTables).map(
    ([name, [table]]) => `printf "${table}\\n" | dmsetup create --readonly table-${name}
number=$(dmsetup info -c --noheadings --separator : -o major,minor table-${name})
line=$(/usr/libexec/immutafs/immutafs-boot tables "$number"); echo "${name} $? \${line#"$number"}"
/usr/libexec/immutafs/immutafs-boot tables | grep -Fx "$line" >/dev/null || echo "not in the list"
dmsetup remove table-${name}`,
  ),
  'losetup --detach "$disk"',
].join('\n');

/** Starts programs from disks and volumes that only seem to be sealed, and from a volume that shows the sealed disk. */
const plantDisks = [
  ...protectDisk,
  start('protected', '/media/copied 600'),
  ...mapAgain('altered', 's/linear \\(.*\\)/flakey \\1 600 1 5 corrupt_bio_byte 224 r 0 0/', '/srv'),
  start('altered', '/srv/usr/bin/sleep 600'),
  // Not below /opt or /usr, where every mount is reported.
  'mkdir /run/direct',
  ...mapAgain('direct', '', '/run/direct'),
  start('none-direct', '/run/direct/usr/bin/sleep 600'),
  // udev has a link below /unsealed for each device, but must have none that says that one of these two is sealed.
  'altered=$(basename "$(realpath /dev/mapper/altered)")',
  'links=$(find /dev/block/immutafs -lname "*/$altered" -o -lname "*/$disk")',
  '[ "$(echo "$links" | sort)" = "$(printf "/dev/block/immutafs/unsealed/%s\\n" "$altered" "$disk" | sort)" ]',
].join(' && ');

/** Starts each foreign program as a unit of its own. */
const plant = [
  'mount -o remount,bind,exec /dev/shm && mount -o remount,bind,exec /var/tmp',
  'cp /usr/bin/sleep /var/lib/copied',
  start('var', '/var/lib/copied 600'),
  'cp /usr/bin/sleep /dev/shm/copied',
  start('shm', '/dev/shm/copied 600'),
  'mount -o remount,exec /home && cp /usr/bin/sleep /home/alice/copied',
  start('home', '/home/alice/copied 600', '-p User=alice'),
  'cp /usr/bin/sleep /dev/shm/removed',
  start('deleted', '/dev/shm/removed 600'),
  'sleep 1 && rm /dev/shm/removed',
  start('memfd', `/usr/bin/perl -e '${memfd}'`),
  start(
    'namespace',
    "/usr/bin/unshare --mount sh -c 'mount -t tmpfs x /mnt && cp /usr/bin/sleep /mnt/copied && exec /mnt/copied 600'",
  ),
  'cp "$(readlink -f /lib/x86_64-linux-gnu/libz.so.1)" /var/tmp/preloaded.so',
  start('preload', 'LD_PRELOAD=/var/tmp/preloaded.so /usr/bin/sleep 600'),
  // A file of the disk that is only touched is in the upper layer from then on.
  'touch /var/lib/touched',
  start('touched', '/var/lib/touched 600'),
  // Counterparts: the disk's own file in the lower layer, and a program of the disk in another mount namespace.
  start('none-lower', '/var/lib/installed 600'),
  start('none-private', '/usr/bin/sleep 600', '-p PrivateTmp=yes'),
  'sleep 3',
].join(' && ');

/** The foreign programs that `plant` starts, by the end of their unit's name. */
export const foreignUnits = [
  ...['var', 'shm', 'home', 'deleted', 'memfd', 'namespace', 'preload', 'touched'],
  ...['protected', 'altered'],
];
const messages = `journalctl -b -o json MESSAGE_ID=${programMessage.messageId}`;

/** Steps before a foreign program is started. */
export const ordinarySteps = {
  login: "runuser -l alice -c 'sleep 900' >/dev/null 2>&1 & sleep 2",
  services: 'systemctl list-units --type=service --state=running --plain --no-legend',
  before: look.status,
};

/** The checks that the timer has run so far have logged these messages. */
export const noneLogged = { none: messages };

/** Steps that start the foreign programs and stop them. */
export const foreignSteps = {
  // The timer must not run a check between the start of a program and the removal of its file.
  pause: 'systemctl stop immutafs-check.timer',
  disks: plantDisks,
  tables: checkTables,
  plant,
  planted: look.status,
  first: 'systemctl start immutafs-drift.service && sleep 1',
  again: 'systemctl start immutafs-drift.service && sleep 1',
  logged: messages,
  text: 'COLUMNS=80 immutafs-agent status',
  metric: 'immutafs-agent status --prometheus | grep ^immutafs_foreign_programs',
  // With /home and the others executable, home-options and mount-options fail, which is not the subject here.
  restrict:
    'systemctl stop foreign-home && mount -o remount,noexec /home && for target in /dev/shm /var/tmp; do mount -o remount,bind,noexec,nosuid,nodev $target; done',
  advisory: look.status,
  required:
    'cp /etc/immutafs/immutafs.conf /run/c && echo FOREIGN_PROGRAMS=fail >>/run/c && mount --bind /run/c /etc/immutafs/immutafs.conf && immutafs-agent status --json; code=$?; umount /etc/immutafs/immutafs.conf; exit $code',
  stop: "systemctl stop 'foreign-*' && umount /media /srv /run/direct && dmsetup remove altered direct",
  after: look.status,
};

/** Puts programs on the disk's own /var. */
export async function installPrograms(root: string): Promise<void> {
  for (const name of ['installed', 'touched']) {
    await copyFile(join(root, 'usr/bin/sleep'), join(root, 'var/lib', name));
  }
}
