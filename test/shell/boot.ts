import { type Mount, parseMountinfo } from '../../agent/facts/mounts/mountinfo.ts';
import type { DiskFixture, StackFixture } from '../harness/sysfs.ts';
import { runInBox } from './box.ts';

export interface Boot {
  shell: readonly [string, ...string[]];
  /** Below /; the root is at /sysroot. */
  files?: Record<string, string | { linkTo: string }>;
  /** What is at /sysroot: ext4 on LVM on a virtio disk; or a tmpfs; or ext4 on what is not in /sys. */
  disk?: 'sealed' | 'writable' | 'none' | 'unknown';
  /** Lines of bash that damage the root's ext4 in /image, of debugfs(8) perhaps, before it is mounted. */
  damage?: string;
  /** Disks beside the root's. */
  devices?: readonly (DiskFixture | StackFixture)[];
  /** Lines of bash before the script. */
  before?: string;
  /** What runs; its outcome is the answer. */
  script?: string;
  /** Lines of bash after it. */
  after?: string;
}

export interface Booted {
  code: number;
  /** What it said on stderr. */
  said: string;
  bootEnv: string[];
  /** Mounts that the script made: "target type options", in order. */
  made: string[];
  /** What is in /run. */
  run: string[];
  /** What the lines after it printed. */
  after: string;
}

/** /sysroot as the initramfs has it when the hook runs. Loop devices are let go of with the last mount. */
const root = (damage: string) => `
case $disk in
  none) /usr/bin/mount --bind /sysroot /sysroot ;;
  *)
    truncate -s 8m /image
    mkfs.ext4 -q -d /sysroot /image
    rm -r /sysroot/*
    ${damage}
    # Only while loop devices are looked for: the real /sys.
    /usr/bin/mount -t sysfs sys /sys
    /usr/bin/mount -o loop /image /sysroot
    /usr/bin/umount /sys
    device=$(mountpoint -d /sysroot)
    [ "$disk" = unknown ] || ln -s "$(readlink /sys/dev/block/253:0)" "/sys/dev/block/$device"
    ;;
esac
`;

/** assemble-var in the initramfs, with real mounts. */
export function boot({
  shell,
  files = {},
  disk = 'sealed',
  damage = '',
  devices = [],
  before = '',
  script,
  after = '',
}: Boot): Booted {
  const command = script ?? 'sh /usr/libexec/immutafs/assemble-var initramfs /sysroot';
  const vda = {
    name: 'vda',
    device: '252:0',
    bus: 'virtio-blk',
    offered: disk === 'sealed',
    partitions: { vda1: '252:1', vda2: '252:2' },
  } as const;
  const answer = runInBox({
    shell,
    devices: [vda, { name: 'dm-0', device: '253:0', on: ['vda2'] }, ...devices],
    files: {
      'sysroot/etc/fstab': '/dev/mapper/rhel-root / xfs ro 0 0\n',
      'sysroot/var/lib/x': 'disk\n',
      ...files,
    },
    run: `
set -e
disk=${disk}
${root(damage)}
${before}
set +e
cat /proc/self/mountinfo >/out/mounts-before
(
${command}
) 2>/out/said
echo $? >/out/code
cat /proc/self/mountinfo >/out/mounts
cp /run/immutafs/boot.env /out/boot.env 2>/dev/null
(cd /run && find . -mindepth 1 -xdev | sort) >/out/run
{
:
${after}
} >/out/after 2>&1
`,
  });
  const { out } = answer;
  if (out['mounts'] === undefined) throw new Error(`the box broke: ${answer.stderr}${answer.stdout}`);
  return {
    code: Number(out['code']),
    said: out['said'] ?? '',
    bootEnv: lines(out['boot.env']).filter((line) => !line.startsWith('UPTIME=')),
    made: madeBetween(out['mounts-before'] ?? '', out['mounts']),
    // /run/mount is mount(8)'s own.
    run: lines(out['run']).filter((file) => !/^\.\/mount(\/|$)/.test(file)),
    after: out['after'] ?? '',
  };
}

function madeBetween(before: string, after: string): string[] {
  const there = new Set(parseMountinfo(before).map(({ id, target }) => `${id} ${target}`));
  return parseMountinfo(after)
    .filter(({ id, target }) => !there.has(`${id} ${target}`))
    .map(describe);
}

/** Without what depends on the kernel: overlay's uuid, redirect_dir, … */
function describe({ target, type, options, superOptions }: Mount): string {
  const wanted = /^(lowerdir|upperdir|workdir|size|nr_inodes|mode)=/;
  const own = options.filter((option) => option !== 'relatime');
  return [target, type, own.join(','), superOptions.filter((option) => wanted.test(option)).join(',')]
    .join(' ')
    .trim();
}

function lines(text = ''): string[] {
  return text.split('\n').filter((line) => line !== '');
}
