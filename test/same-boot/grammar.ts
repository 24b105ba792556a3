/** The grammar of what root does in a sealed guest: an action is a verb with its parameters, and is one line of sh. */
import fc from 'fast-check';
import { volumeUuid } from '../vm/harness/layout.ts';
import { resumeUuid } from './guest.ts';
import { directories, plants } from './places.ts';

export type Action = readonly [verb: string, ...parameters: string[]];

/** How a session ends. */
export const endings = {
  'power-off': 'systemctl poweroff',
  reboot: 'systemctl reboot',
  // The boot that is compared is a new start of the machine. The soft-rebooted system switches it off (`session.ts`).
  'soft-reboot': 'systemctl soft-reboot',
  reset: 'sync; echo b >&5',
  'power-cut': 'echo o >&5',
  hibernation: `free; mkswap -U $resume /dev/vdf; swapon /dev/vdf
    cat /sys/class/block/vdf/dev >/sys/power/resume
    echo shutdown >/sys/power/disk; echo disk >/sys/power/state; echo o >&5`,
} as const satisfies Record<string, string>;

export type Ending = keyof typeof endings;

export interface Session {
  actions: readonly Action[];
  ending: Ending;
}

interface Verb {
  /** How often the verb occurs, relative to the others. */
  weight: number;
  /** The values of each parameter. */
  parameters: readonly (readonly string[])[];
  /** The line; the parameters are $1, $2, … */
  sh: string;
}

/** Names of the kernel, because the attack removes links below /dev/disk. `/dev/vdc` is the input of the test. */
export const devices = {
  system: '/dev/vda',
  home: '/dev/vdb',
  data: '/dev/vdd',
  scratch: '/dev/vde',
  spare: '/dev/vdf',
} as const;
const spare = [devices.spare];
/** Root destroys the data on these disks, which no boot can prevent. */
const used = [devices.scratch, devices.data, devices.home];
const all = [...spare, ...used, devices.system, '/dev/mapper/rhel-root'];
const paths = [...plants.keys()];
const targets = ['/', '/boot', '/home'].map(
  (target) => ({ target, filesystem: 'ext4', sizeMiB: 0 }) as const,
);
const [root = '', boot = '', home = ''] = targets.map(volumeUuid);
/** The UUIDs of file systems on the sealed disk. */
export const targetUuids = { root, boot } as const;
const uuids = [root, boot, home, '2f5a0000-0000-4000-8000-000000000001', resumeUuid];
const labels = ['cidata', 'CIDATA', 'config-2', 'root', 'home', 'boot', 'immutafs', 'NvVars'];

/** A root file system that runs the attacker's program instead of systemd. */
const plantRoot = `
  mkdir -p /run/planted-root && /usr/bin/mount -o "loop,offset=\${offset:-0}" "$1" /run/planted-root && cd /run/planted-root && mkdir -p sbin bin etc proc sys dev run usr/lib/systemd &&
  cp /media/busybox bin/sh && printf '#!/bin/sh\\necho PLANTED >/dev/console; poweroff -f\\n' >sbin/init && chmod 755 sbin/init &&
  cp sbin/init usr/lib/systemd/systemd && echo ID=planted >etc/os-release; cd /; umount /run/planted-root`;

/** Runs a program as the user $1. The file does not exist, so that programs that run already do not matter. */
const asUser = 'start-stop-daemon -S -p /run/none -c "$1" -x';

/** systemd reads kernel arguments, and where a hibernation image is, from EFI variables with this GUID (systemd(1)). */
export const systemdVariable = (name: string) => `${name}-8cf2644b-4b0b-428f-9387-6d876050dc67`;
const bootVariables = ['BootOrder', 'BootNext', 'Boot0099'].map(
  (name) => `${name}-8be4df61-93ca-11d2-aa0d-00e098032b8c`,
);
/** Writes the attributes of a variable that persists, and the value in UTF-16. */
const writeVariable = `mkdir -p /run/efi; mount -t efivarfs efivarfs /run/efi; chattr -i "/run/efi/$1"
printf "\\007\\000\\000\\000$(printf %s "$2" | ./busybox sed 's/./&\\\\000/g')\\000\\000" >"/run/efi/$1"`;

export const verbs: Readonly<Record<string, Verb>> = {
  write: { weight: 200, parameters: [paths], sh: 'mkdir -p "${1%/*}"; content "$1" >"$1" && chmod 755 "$1"' },
  append: { weight: 60, parameters: [paths], sh: 'content "$1" >>"$1"' },
  replace: { weight: 60, parameters: [paths], sh: 'content "$1" >"$1.new" && mv -f "$1.new" "$1"' },
  symlink: {
    weight: 50,
    parameters: [
      [...paths, ...directories],
      [...directories, ...paths],
    ],
    sh: 'rm -f "$2"; ln -sn "$1" "$2"',
  },
  link: { weight: 20, parameters: [paths, paths], sh: 'ln -f "$1" "$2"' },
  rename: {
    weight: 20,
    parameters: [directories, directories],
    sh: 'mv "$1" "$2.moved" && mv "$2.moved" "$2"',
  },
  swap: {
    weight: 3,
    parameters: [['/etc/systemd', '/data/store', '/home/alice', '/var/lib/kept', '/var/lib/app']],
    sh: 'mv "$1" "$1.old" && ln -s /home "$1"',
  },
  remove: {
    weight: 20,
    parameters: [[...paths, '/data/store', '/home/alice', '/var/lib/immutafs']],
    sh: 'rm -r "$1"',
  },
  node: { weight: 15, parameters: [directories, ['b 254 0', 'c 1 1', 'p']], sh: 'mknod "$1/node" $2' },
  mode: {
    weight: 40,
    parameters: [
      [...directories, ...paths],
      ['0', '777', '4755', '1777', '700'],
    ],
    sh: 'chmod "$2" "$1"',
  },
  owner: {
    weight: 30,
    parameters: [
      [...directories, ...paths],
      ['0:0', '1000:1000', '65534:65534'],
    ],
    sh: 'chown "$2" "$1"',
  },
  attribute: {
    weight: 30,
    parameters: [
      [...directories, ...paths],
      ['+i', '-i', '+a'],
    ],
    sh: 'chattr "$2" "$1"',
  },
  xattr: {
    weight: 30,
    parameters: [
      directories,
      ['security.selinux', 'trusted.overlay.opaque', 'user.planted', 'trusted.overlay.redirect'],
    ],
    sh: '/usr/bin/setfattr -n "$2" -v y "$1"',
  },
  acl: { weight: 15, parameters: [directories], sh: '/usr/bin/setfacl -m u:alice:rwx "$1"' },
  tmpfs: { weight: 3, parameters: [directories], sh: 'mount -t tmpfs planted "$1"' },
  bind: { weight: 6, parameters: [directories, directories], sh: 'mount --bind "$1" "$2"' },
  overlay: {
    weight: 10,
    parameters: [directories],
    sh: 'mkdir -p /data/upper /data/work; mount -t overlay -o lowerdir="$1",upperdir=/data/upper,workdir=/data/work planted "$1"',
  },
  remount: {
    weight: 60,
    parameters: [
      ['/', ...directories],
      ['rw', 'exec,suid,dev', 'bind,exec,suid,dev,rw', 'ro'],
    ],
    sh: 'mount -o "remount,$2" "$1"',
  },
  unmount: { weight: 3, parameters: [directories], sh: 'umount -l "$1"' },
  flag: {
    weight: 30,
    parameters: [all, ['--setrw', '--setro', '--flushbufs', '--rereadpt']],
    sh: 'blockdev "$2" "$1"',
  },
  raw: {
    weight: 10,
    parameters: [
      [devices.system, '/dev/mapper/rhel-root', ...spare],
      ['0', '2048', '264192', '9999'],
    ],
    sh: 'printf planted | dd of="$1" bs=512 seek="$2" conv=notrunc',
  },
  format: {
    weight: 20,
    parameters: [spare, uuids, labels],
    sh: 'free; /usr/sbin/mkfs.ext4 -q -FF -U "$2" -L "$3" "$1" 64M',
  },
  fat: {
    weight: 15,
    parameters: [spare, labels],
    sh: 'free; mkdosfs -n "$2" "$1" 65536 && mkdir -p /run/fat && mount "$1" /run/fat && content /var/lib/cloud/seed/nocloud/user-data >/run/fat/user-data && echo "instance-id: planted" >/run/fat/meta-data && cp /run/fat/user-data /run/fat/NvVars; umount /run/fat',
  },
  impostor: {
    weight: 15,
    parameters: [spare, Object.values(targetUuids)],
    sh: `free; /usr/sbin/mkfs.ext4 -q -FF -U "$2" "$1" 64M;${plantRoot}`,
  },
  table: {
    weight: 10,
    parameters: [spare],
    sh: `free; dd if=${devices.system} of="$1" bs=1M count=1 conv=notrunc && blockdev --rereadpt "$1"`,
  },
  group: {
    ...{ weight: 10, parameters: [spare] },
    sh: `free; offset=1048576; dd if=${devices.system}2 of="$1" bs=1M count=1 && /usr/sbin/mkfs.ext4 -q -FF -E offset=$offset -U ${root} "$1" 64M;${plantRoot}`,
  },
  lvm: {
    weight: 10,
    parameters: [spare, ['rhel', 'planted']],
    sh: 'free; /usr/sbin/pvcreate -ffy "$1" && { /usr/sbin/vgextend -y "$2" "$1" || /usr/sbin/vgcreate -y "$2" "$1" && /usr/sbin/lvcreate -y -an -Zn -L 32m -n root "$2"; }',
  },
  raid: {
    weight: 5,
    parameters: [spare],
    sh: 'free; /usr/sbin/mdadm --create /dev/md/root --run --force --level=1 --raid-devices=2 --metadata=1.2 "$1" missing && /usr/sbin/mdadm --stop /dev/md/root',
  },
  loop: {
    weight: 15,
    parameters: [['/data/planted.img', '/home/planted.img']],
    sh: 'dd if=/dev/zero of="$1" bs=1M count=2; losetup -f "$1"',
  },
  dm: {
    weight: 15,
    parameters: [['rhel-root', 'rhel-usr', 'planted']],
    sh: `echo "0 2048 linear ${devices.spare} 0" | /usr/sbin/dmsetup create "$1"`,
  },
  reload: {
    weight: 5,
    parameters: [['immutafs-scratch', 'rhel-root']],
    sh: `echo "0 2048 linear ${devices.spare} 0" | /usr/sbin/dmsetup reload "$1"`,
  },
  swapspace: { weight: 10, parameters: [spare, uuids], sh: 'swapoff -a; mkswap -U "$2" "$1" && swapon "$1"' },
  mark: { weight: 5, parameters: [spare], sh: `dd if=${devices.scratch} of="$1" bs=1M count=1` },
  queue: {
    weight: 20,
    parameters: [
      ['vda', 'vdb', 'vdd', 'vde', 'vdf'],
      ['write_cache=write through', 'write_cache=write back', 'read_ahead_kb=0', 'scheduler=none'],
    ],
    sh: 'echo "${2#*=}" >"/sys/block/$1/queue/${2%%=*}"',
  },
  eject: {
    weight: 2,
    parameters: [['sr0', 'vdf']],
    sh: 'echo 1 >"/sys/block/$1/device/delete" || echo 1 >"/sys/block/$1/device/../remove"',
  },
  variable: {
    ...{ weight: 10, sh: writeVariable },
    parameters: [
      [systemdVariable('SystemdOptions'), systemdVariable('HibernateLocation'), ...bootVariables],
      ['systemd.mask=immutafs-check.timer', 'init=/home/planted', `{"uuid":"${resumeUuid}","offset":0}`, '0'],
    ],
  },
  port: { weight: 5, parameters: [['/dev/ttyS0', '/dev/console', '/dev/kmsg']], sh: 'echo planted >"$1"' },
  sysctl: {
    ...{ weight: 40, sh: 'echo "${1#*=}" >"/proc/sys/${1%%=*}"' },
    parameters: [
      [
        'kernel/core_pattern=|/home/planted',
        'kernel/hostname=planted',
        'kernel/modprobe=/home/planted',
        'vm/overcommit_memory=1',
        'kernel/sysrq=1',
        'fs/protected_symlinks=0',
        'kernel/poweroff_cmd=/home/planted',
        'net/ipv4/ip_forward=1',
        'kernel/panic=0',
        'fs/suid_dumpable=2',
      ],
    ],
  },
  module: {
    weight: 20,
    parameters: [['vfat', 'loop', 'raid1', 'dm_snapshot', 'nbd', 'usb_storage', 'isofs']],
    sh: '/usr/sbin/modprobe "$1"',
  },
  unload: {
    weight: 10,
    parameters: [['isofs', 'vfat', 'loop', 'overlay', 'virtio_scsi']],
    sh: '/usr/sbin/rmmod "$1"',
  },
  clock: {
    weight: 10,
    parameters: [['2001-01-01 00:00', '2037-01-01 00:00']],
    sh: 'date -s "$1" && hwclock -w',
  },
  systemctl: {
    ...{ weight: 30, sh: 'systemctl $1' },
    parameters: [
      [
        'daemon-reload',
        '--runtime enable planted.service',
        'enable planted.service',
        'start planted.service',
        'mask immutafs-check.timer',
        '--runtime mask home.mount',
        'set-default rescue.target',
        'stop immutafs-check.timer',
        'stop immutafs-persist.service',
        'stop immutafs-scratch.service',
        'restart systemd-udevd.service',
        'set-property --runtime -- -.slice CPUWeight=1',
        'set-environment LD_PRELOAD=/home/planted.so',
        'daemon-reexec',
        'disable immutafs-check.service',
        'preset-all',
        'restart immutafs-seed.service',
      ],
    ],
  },
  udev: {
    weight: 15,
    parameters: [['trigger -s block', 'control --reload', 'trigger -c remove -s block', 'info --cleanup-db']],
    sh: '/usr/bin/udevadm $1',
  },
  user: {
    weight: 60,
    parameters: [['alice', 'nobody'], paths],
    sh: `content "$2" | ${asUser} /bin/sh -- -c 'cat >"$1"' sh "$2"`,
  },
  userlink: {
    weight: 30,
    parameters: [['alice', 'nobody'], directories, directories],
    sh: `${asUser} /bin/ln -- -sn "$2" "$3/of-$1"`,
  },
  linger: {
    weight: 10,
    parameters: [['/data/planted', '/var/lib/kept/planted', '/home/planted']],
    sh: `(trap '' TERM HUP INT; exec </dev/null >/dev/null 2>&1; while sleep 0.2; do date >>"$1"; mount -o remount,rw /; done) &`,
  },
  race: {
    weight: 4,
    parameters: [['/var/lib/kept', '/home/alice', '/data/store']],
    sh: `(trap '' TERM HUP INT; exec </dev/null >/dev/null 2>&1; while sleep 0.1; do mv "$1" "$1.away"; ln -s /etc "$1"; rm "$1"; mv "$1.away" "$1"; done) &`,
  },
  fill: {
    weight: 3,
    parameters: [['/data', '/home', '/run']],
    sh: 'dd if=/dev/zero of="$1/filler" bs=1M count=250',
  },
  destroy: {
    weight: 1,
    parameters: [used, uuids],
    sh: '/usr/sbin/mkfs.ext4 -q -FF -U "$2" -L home "$1" 32M',
  },
  overwrite: { weight: 1, parameters: [used], sh: 'dd if=/dev/urandom of="$1" bs=64k count=16 conv=notrunc' },
  superblock: {
    weight: 2,
    parameters: [
      [devices.data],
      [
        '-e panic',
        '-L cidata',
        '-o ^acl,^user_xattr',
        '-o debug',
        '-O ^has_journal',
        '-E mount_opts=suid\\,dev\\,exec',
      ],
    ],
    sh: '/usr/sbin/tune2fs -f $2 "$1"',
  },
};

/** Sessions with a number of actions. fast-check shrinks them to the actions that matter. */
export function sessions(shortest: number, longest: number): fc.Arbitrary<Session> {
  const action = fc.oneof(
    ...Object.entries(verbs).map(([name, { weight, parameters }]) => ({
      weight,
      arbitrary: fc.tuple(
        fc.constant(name),
        ...parameters.map((values) => fc.constantFrom(...values)),
      ) as fc.Arbitrary<Action>,
    })),
  );
  return fc.record(
    {
      actions: fc.array(action, { minLength: shortest, maxLength: longest, size: 'max' }),
      ending: fc.constantFrom(...(Object.keys(endings) as Ending[])),
    },
    { noNullPrototype: true },
  );
}
