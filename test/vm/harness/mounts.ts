import { readFile } from 'node:fs/promises';
import { execa } from 'execa';
import { holdUntilEof } from './lock.ts';

/** A private mount namespace. */
export interface Mounts {
  /** Path of the mount point for file functions of this process. */
  root: string;
  /** Mounts a device (or, with `--bind`, a folder) at a path below the mount point. */
  mount: (source: string, target: string, ...options: string[]) => Promise<void>;
  /** Runs a command in the mounted root, as chroot(8) does, and returns what it wrote to stdout. */
  chroot: (command: string, ...args: string[]) => Promise<string>;
}

/** The mount point. It can be any folder, because its mounts are visible only in the namespace. */
const mountPoint = '/mnt';

/**
 * Calls `work` with a private mount namespace. All mounts end with the namespace.
 *
 * A child that reads from this process keeps the namespace alive. If this process is killed, the kernel removes the
 * mounts and the loop devices below them.
 */
export async function withMounts<T>(work: (mounts: Mounts) => Promise<T>): Promise<T> {
  const holder = await holdUntilEof('unshare', ['--mount', '--propagation', 'private']);
  const inside = async (...command: string[]): Promise<string> => {
    const { stdout } = await execa('nsenter', [`--mount=/proc/${holder.pid}/ns/mnt`, '--', ...command], {
      stdin: 'ignore',
    });
    return stdout;
  };
  try {
    const result = await work({
      root: `/proc/${holder.pid}/root${mountPoint}`,
      mount: async (source, target, ...options) => {
        await inside('mount', ...options, source, `${mountPoint}${target}`);
      },
      chroot: (command, ...args) => inside('chroot', mountPoint, command, ...args),
    });
    // The end of the namespace would also unmount everything, but only umount(8) waits until all data are written.
    await inside('umount', '--recursive', mountPoint);
    return result;
  } finally {
    await holder.release();
  }
}

/** Mounts a folder as the root together with the kernel's file systems, for `chroot`. */
export async function mountTree(mounts: Mounts, tree: string): Promise<void> {
  await mounts.mount(tree, '', '--bind');
  await mountKernelFileSystems(mounts);
}

/** Mounts /proc, /sys, /dev and an empty /run, which package scripts and dracut need. */
export async function mountKernelFileSystems(mounts: Mounts): Promise<void> {
  await mounts.mount('proc', '/proc', '-t', 'proc');
  await mounts.mount('sysfs', '/sys', '-t', 'sysfs', '-o', 'ro');
  await mounts.mount('/dev', '/dev', '--bind');
  await mounts.mount('run', '/run', '-t', 'tmpfs');
}

/**
 * Sets the SELinux labels that the policy of the mounted root assigns, below these paths. /proc is mounted meanwhile,
 * because earlier versions of setfiles(8) set the labels of files by /proc/self/fd.
 */
export async function labelFiles(mounts: Mounts, ...paths: string[]): Promise<void> {
  const config = await readFile(`${mounts.root}/etc/selinux/config`, 'utf8');
  const [, policy = ''] = /^SELINUXTYPE=(\w+)$/m.exec(config) ?? [];
  const contexts = `/etc/selinux/${policy}/contexts/files/file_contexts`;
  await mounts.mount('proc', '/proc', '-t', 'proc');
  await mounts.chroot('setfiles', '-F', '-e', '/proc', contexts, ...paths);
  await mounts.chroot('umount', '/proc');
}
