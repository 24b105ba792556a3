import fs from 'node:fs';
import { type Mount, parseMountinfo } from '../../agent/facts/mounts/mountinfo.ts';
import { version } from '../../agent/lib/version.ts';
import type { DiskFixture, StackFixture } from '../harness/sysfs.ts';
import { runInSandbox } from './sandbox.ts';
import type { Shell } from './shells.ts';

export interface Boot {
  /** Files by path below /; the root is at /sysroot. */
  files?: Record<string, string | { linkTo: string }>;
  /**
   * The file system at /sysroot: ext4 on LVM on a virtio disk, a tmpfs (`none`), or ext4 on a device that is not in
   * /sys (`unknown`).
   */
  disk?: 'sealed' | 'writable' | 'none' | 'unknown';
  /** Lines of bash that damage the root's ext4 in /image, for example with debugfs(8), before it is mounted. */
  damage?: string;
  /** Disks in addition to the root's. */
  devices?: readonly (DiskFixture | StackFixture)[];
  /** Lines of bash that run before the command. */
  before?: string;
  /** The command; by default `immutafs-boot initramfs`. */
  script?: string;
  /** Lines of bash that run after the command. */
  after?: string;
}

export interface Booted {
  code: number;
  /** The stderr of the command. */
  stderr: string;
  /** Without the lines whose values are different in each run. */
  bootEnv: string[];
  /** Mounts that the command made: "target type options", in order. */
  made: string[];
  /** The files in /run. */
  run: string[];
  /** The arguments of each call of systemctl. */
  requests: string[];
  /** Output of the lines in `after`. */
  after: string;
}

/**
 * Returns lines of bash that set up /sysroot as it is in the initramfs when the hook runs. The loop device is released
 * with its last mount.
 */
const root = (damage: string) => `
case $disk in
  none) /usr/bin/mount --bind /sysroot /sysroot ;;
  *)
    truncate -s 8m /image
    mkfs.ext4 -q -d /sysroot /image
    rm -r /sysroot/*
    ${damage}
    # mount(8) needs the real /sys to find a free loop device.
    /usr/bin/mount -t sysfs sys /sys
    /usr/bin/mount -o loop /image /sysroot
    /usr/bin/umount /sys
    device=$(mountpoint -d /sysroot)
    [ "$disk" = unknown ] || ln -s "$(readlink /sys/dev/block/253:0)" "/sys/dev/block/$device"
    ;;
esac
`;

/** Returns a function that runs `immutafs-boot initramfs`, with real mounts. */
export const bootIn =
  (shell: Shell) =>
  ({
    files = {},
    disk = 'sealed',
    damage = '',
    devices = [],
    before = '',
    script,
    after = '',
  }: Boot = {}): Booted => {
    const command = script ?? '/usr/libexec/immutafs/immutafs-boot initramfs /sysroot';
    const vda = {
      name: 'vda',
      device: '252:0',
      bus: 'virtio-blk',
      offered: disk === 'sealed',
      partitions: { vda1: '252:1', vda2: '252:2' },
    } as const;
    const outcome = runInSandbox({
      shell,
      devices: [vda, { name: 'dm-0', device: '253:0', on: ['vda2'] }, ...devices],
      files: {
        'sysroot/etc/fstab': '/dev/mapper/rhel-root / xfs ro 0 0\n',
        'sysroot/var/lib/x': 'disk\n',
        // systemctl of this machine would end the sandbox.
        'usr/sbin/systemctl': '#!/bin/sh\necho "$*" >>/out/systemctl\n',
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
) 2>/out/stderr
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
    const { out } = outcome;
    if (out['mounts'] === undefined)
      throw new Error(`the sandbox failed: ${outcome.stderr}${outcome.stdout}`);
    return {
      code: Number(out['code']),
      stderr: out['stderr'] ?? '',
      bootEnv: lines(out['boot.env']).filter((line) => !/^(UPTIME|INITRAMFS)=/.test(line)),
      made: mountsMade(out['mounts-before'] ?? '', out['mounts']),
      requests: lines(out['systemctl']),
      // /run/mount belongs to mount(8).
      run: lines(out['run']).filter((file) => !/^\.\/mount(\/|$)/.test(file)),
      after: out['after'] ?? '',
    };
  };

function mountsMade(before: string, after: string): string[] {
  const existing = new Set(parseMountinfo(before).map(({ id, target }) => `${id} ${target}`));
  return parseMountinfo(after)
    .filter(({ id, target }) => !existing.has(`${id} ${target}`))
    .map(describe);
}

/** Describes a mount without the options that depend on the kernel, such as uuid and redirect_dir of an overlay. */
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

const tmpfs = (size: string, inodes: string) =>
  `/run/var tmpfs rw,nosuid,nodev,noexec size=${size},nr_inodes=${inodes},mode=700`;
const lower = '/run/immutafs/lower ext4 ro,nosuid,nodev,noexec';
const layers = 'lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work';
export const overlay = (options = 'rw,nosuid,nodev') => `/sysroot/var overlay ${options} ${layers}`;
export const config = (text: string) => ({ 'sysroot/etc/immutafs/immutafs.conf': text });
/** A configuration for tests that do not test VAR_SIZE, so that the results do not depend on this machine's memory. */
export const small = 'VAR_SIZE=8m\nVAR_INODES=5000\n';
/** The mounts of a sealed boot. */
export const assembled = [lower, tmpfs('8192k', '5000'), overlay()];
/** The files that remain in /run after a failure. */
export const nothingLeft = ['./immutafs', './immutafs/boot.env', './immutafs/on-failure'];

/** Returns the lines of boot.env, except UPTIME, after `immutafs-boot initramfs` has run. */
export function env(values: Record<string, string>): string[] {
  const initial = {
    VERSION: version,
    STAGE: 'initramfs',
    MODE: 'sealed',
    REASON: 'disk vda is read-only (virtio-feature)',
    DISKS: 'vda:1:virtio-feature',
    VAR: 'overlay',
    ON_FAILURE: 'degraded',
  };
  const all = { ...initial, ...values };
  const assembled: Record<string, string> = all.VAR === 'overlay' ? { ASSEMBLED: 'initramfs' } : {};
  return Object.entries({ ...all, ...assembled }).map(([key, value]) => `${key}=${value}`);
}

/**
 * Returns this machine's mounts that have one of our names or are on loop devices. Other processes may change other
 * mounts in the meantime.
 */
export const machineMounts = () =>
  fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / immutafs |immutafs-test-|\/sysroot/.test(line));
