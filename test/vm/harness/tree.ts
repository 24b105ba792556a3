import { createHash } from 'node:crypto';
import { globSync } from 'node:fs';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { execa } from 'execa';
import { cached } from './cache.ts';
import { extractKernel } from './kernel.ts';
import { labelFiles, mountTree, withMounts } from './mounts.ts';
import { type DebianRelease, releases } from './release.ts';

/** Packages of the guest in addition to Debian's essential packages and the initramfs generator. */
const packages = [
  ...['systemd', 'systemd-sysv', 'udev', 'dbus', 'kmod', 'linux-image-cloud-amd64'],
  ...['lvm2', 'xfsprogs', 'e2fsprogs', 'parted', 'cryptsetup-bin', 'mdadm', 'util-linux'],
  ...['selinux-policy-default', 'policycoreutils', 'selinux-utils'],
  ...['openssh-server', 'rsyslog', 'auditd', 'rpm', 'busybox', 'rsync', 'acl', 'attr'],
];

/** Documentation, translations, and drivers for hardware that QEMU does not emulate. */
const excluded = [
  ...['man', 'doc', 'info', 'locale', 'bash-completion'].map((folder) => `/usr/share/${folder}/*`),
  ...['comedi', 'infiniband', 'hid', 'gpu', 'iio'].map(
    (folder) => `/usr/lib/modules/*/kernel/drivers/${folder}/*`,
  ),
];

/** Units that no scenario needs and that take time in an emulated machine. */
const masked = [
  ...['getty@tty1.service', 'serial-getty@ttyS0.service', 'getty-static.service'],
  ...['e2scrub_all.timer', 'e2scrub_reap.service', 'fstrim.timer', 'dpkg-db-backup.timer'],
  ...['xfs_scrub_all.timer', 'mdcheck_start.timer', 'mdcheck_continue.timer', 'mdmonitor-oneshot.timer'],
  ...['systemd-pstore.service', 'systemd-hwdb-update.service', 'systemd-binfmt.service'],
  ...['proc-sys-fs-binfmt_misc.automount', 'keyboard-setup.service', 'console-setup.service'],
  ...['modprobe@configfs.service', 'modprobe@drm.service', 'modprobe@fuse.service'],
  ...['sys-kernel-config.mount', 'sys-fs-fuse-connections.mount', 'systemd-udev-load-credentials.service'],
  // Debian has this mount for programs of System V, RHEL does not.
  'run-lock.mount',
  // Most scenarios boot without SELinux, which must not cause a relabelling of the whole disk.
  'selinux-autorelabel-mark.service',
  // This service unpacks the initramfs again at shutdown.
  'dracut-shutdown.service',
];

const overlay = join(import.meta.dirname, '../guest');

/** The generator of the initramfs in /boot. */
interface InitramfsMaker {
  packages: string[];
  command: string[];
}

/** The initramfs generator of RHEL. */
const dracut: InitramfsMaker = { packages: ['dracut'], command: ['dracut', '--quiet', '--regenerate-all'] };

/**
 * Returns a tree with a release of Debian, without the agent.
 *
 * @returns a folder with `root/` (no fstab yet, kernel and initramfs in its /boot) and `vmlinux`, the kernel for QEMU
 */
export async function debianTree(release: DebianRelease, maker = dracut): Promise<string> {
  const { debootstrap, mirror } = releases[release];
  const finish = [unusedSections, finishTree, lightenModules, labelTree, labelFiles].map(String);
  const digests = { overlay: await digestFolder(overlay), finish };
  const recipe = { release, debootstrap, mirror, packages, maker, excluded, masked, ...digests };
  return cached('tree', recipe, async (folder) => {
    await execa(
      'mmdebstrap',
      [
        '--quiet',
        '--variant=essential',
        '--dpkgopt=force-unsafe-io',
        ...debootstrap,
        `--include=${[...packages, ...maker.packages].join(',')}`,
        ...excluded.map((glob) => `--dpkgopt=path-exclude=${glob}`),
        `--customize-hook=sync-in ${overlay} /`,
        release,
        join(folder, 'root'),
        ...(mirror === undefined ? [] : [mirror]),
      ],
      // The kernel package's scripts would build the initramfs before its modules are decompressed.
      { env: { INITRD: 'No' } },
    );
    await finishTree(join(folder, 'root'), maker);
    await extractKernel(only(join(folder, 'root/boot/vmlinuz-*')), join(folder, 'vmlinux'));
  });
}

/**
 * Returns a copy of a tree that `change` has changed and that is relabelled.
 *
 * @param kernel the folder with the `vmlinux` of the new tree
 */
export async function derivedTree(
  kind: string,
  from: string,
  recipe: unknown,
  change: (root: string) => Promise<void>,
  kernel = from,
): Promise<string> {
  return cached(kind, { from: basename(from), recipe }, async (folder) => {
    const root = join(folder, 'root');
    await execa('cp', ['--archive', '--reflink=auto', join(from, 'root'), root]);
    await execa('cp', ['--link', join(kernel, 'vmlinux'), folder]);
    await change(root);
    await labelTree(root);
  });
}

async function finishTree(root: string, { command: [make = '', ...words] }: InitramfsMaker): Promise<void> {
  const modules = only(join(root, 'usr/lib/modules/*'));
  await lightenModules(modules);
  await withMounts(async (mounts) => {
    await mountTree(mounts, root);
    await mounts.chroot('depmod', basename(modules));
    await mounts.chroot(make, ...words);
    await mounts.chroot('systemctl', 'mask', ...masked);
    await mounts.chroot('ssh-keygen', '-A');
    await mounts.chroot('systemd-machine-id-setup');
    await mounts.chroot('useradd', '--create-home', 'alice');
  });
  const etc = (name: string): string => join(root, 'etc', name);
  await writeFile(etc('hostname'), 'guest\n');
  await writeFile(etc('fstab'), '');
  await writeFile(etc('selinux/config'), 'SELINUX=enforcing\nSELINUXTYPE=default\n');
  await rm(etc('mtab'), { force: true });
  await execa('ln', ['-s', '../proc/self/mounts', etc('mtab')]);
  await labelTree(root);
}

/**
 * Sections of a module that are not used here: type information, the list of the functions that can be traced, and the
 * tracing events. With them, an emulated machine needs one and a half seconds to load xfs.ko, mostly because the kernel
 * searches all symbols of the module for each of its functions (kernel/trace/ftrace.c, test_for_valid_rec).
 */
const unusedSections = ['.BTF', '__mcount_loc', '_ftrace_events', '_ftrace_eval_map'];

/** Decompresses the modules, and removes what an emulated machine would need much time for. */
export async function lightenModules(folder: string): Promise<void> {
  // Earlier releases of Debian do not compress modules.
  const compressed = globSync(join(folder, '**/*.ko.xz'));
  if (compressed.length > 0) await execa('xz', ['--decompress', '--threads=0', ...compressed]);
  const modules = globSync(join(folder, '**/*.ko'));
  const removed = unusedSections.map((name) => `--remove-section=${name}`);
  await execa('strip', ['--strip-debug', ...removed, ...modules]);
}

/** Sets the SELinux labels, and the time stamps with which the guest skips the work of a first boot. */
async function labelTree(root: string): Promise<void> {
  await execa('touch', [join(root, 'etc/.updated'), join(root, 'var/.updated')]);
  await withMounts(async (mounts) => {
    await mounts.mount(root, '', '--bind');
    await labelFiles(mounts, '/');
  });
}

/**
 * Returns a digest of the names and contents of all files. It does not depend on the folder's own path, so that
 * checkouts share a cache.
 */
async function digestFolder(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  for (const path of files.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    hash.update(relative(folder, path)).update(await readFile(path));
  }
  return hash.digest('hex');
}

function only(pattern: string): string {
  const [path, ...more] = globSync(pattern);
  if (path === undefined || more.length > 0) throw new Error(`not exactly one ${pattern}`);
  return path;
}
