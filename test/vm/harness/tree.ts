import { createHash } from 'node:crypto';
import { globSync } from 'node:fs';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { cached } from './cache.ts';
import { extractKernel } from './kernel.ts';
import { mountTree, withMounts } from './mounts.ts';

/** What the guest has beyond Debian's essential packages and what makes its initramfs. */
const packages = [
  ...['systemd', 'systemd-sysv', 'udev', 'dbus', 'kmod', 'linux-image-cloud-amd64'],
  ...['lvm2', 'xfsprogs', 'e2fsprogs', 'parted', 'cryptsetup-bin', 'mdadm', 'util-linux'],
  ...['selinux-policy-default', 'policycoreutils', 'selinux-utils'],
  ...['openssh-server', 'rsyslog', 'auditd', 'rpm', 'busybox', 'rsync', 'acl', 'attr'],
];

/** Installed documentation and translations, and drivers of hardware that QEMU does not emulate. */
const excluded = [
  ...['man', 'doc', 'info', 'locale', 'bash-completion'].map((folder) => `/usr/share/${folder}/*`),
  ...['comedi', 'infiniband', 'hid', 'gpu', 'iio'].map(
    (folder) => `/usr/lib/modules/*/kernel/drivers/${folder}/*`,
  ),
];

/** Units that do nothing for a scenario but take time in an emulated machine. */
const masked = [
  ...['getty@tty1.service', 'serial-getty@ttyS0.service', 'getty-static.service'],
  ...['e2scrub_all.timer', 'e2scrub_reap.service', 'fstrim.timer', 'dpkg-db-backup.timer'],
  ...['xfs_scrub_all.timer', 'mdcheck_start.timer', 'mdcheck_continue.timer', 'mdmonitor-oneshot.timer'],
  ...['systemd-pstore.service', 'systemd-hwdb-update.service', 'systemd-binfmt.service'],
  ...['proc-sys-fs-binfmt_misc.automount', 'keyboard-setup.service', 'console-setup.service'],
  // Most scenarios boot without SELinux, which is no reason to label the whole disk again.
  'selinux-autorelabel-mark.service',
  // At shutdown it unpacks the initramfs once more.
  'dracut-shutdown.service',
];

const overlay = join(import.meta.dirname, '../guest');

/** What puts one or more files into /boot that a guest boots with. */
interface InitramfsMaker {
  packages: string[];
  command: string[];
}

/** RHEL's. */
const dracut: InitramfsMaker = { packages: ['dracut'], command: ['dracut', '--quiet', '--regenerate-all'] };

/**
 * Debian 13 as a guest boots it, without the agent.
 *
 * @returns a folder with `root/` (no fstab yet, kernel and initramfs in its /boot) and `vmlinux`, the kernel for QEMU
 */
export async function ordinaryTree(maker = dracut): Promise<string> {
  const finish = [finishTree, lightenModules, labelTree].map(String);
  const recipe = { packages, maker, excluded, masked, overlay: await digestFolder(overlay), finish };
  return cached('tree', recipe, async (folder) => {
    await execa(
      'mmdebstrap',
      [
        '--quiet',
        '--variant=essential',
        `--include=${[...packages, ...maker.packages].join(',')}`,
        ...excluded.map((glob) => `--dpkgopt=path-exclude=${glob}`),
        `--customize-hook=sync-in ${overlay} /`,
        'trixie',
        join(folder, 'root'),
        // The kernel package's scripts would build the initramfs before its modules are decompressed.
      ],
      { env: { INITRD: 'No' } },
    );
    await finishTree(join(folder, 'root'), maker);
    await extractKernel(only(join(folder, 'root/boot/vmlinuz-*')), join(folder, 'vmlinux'));
  });
}

/** A second tree: a copy of the first, changed by `change`, labelled again. */
export async function derivedTree(
  kind: string,
  from: string,
  recipe: unknown,
  change: (root: string) => Promise<void>,
): Promise<string> {
  return cached(kind, { from: basename(from), recipe }, async (folder) => {
    const root = join(folder, 'root');
    await execa('cp', ['--archive', '--reflink=auto', join(from, 'root'), root]);
    await execa('cp', ['--link', join(from, 'vmlinux'), folder]);
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

/** An emulated machine takes a second to decompress, verify and parse xfs.ko; its types are not needed here. */
async function lightenModules(folder: string): Promise<void> {
  const compressed = globSync(join(folder, '**/*.ko.xz'));
  await execa('xz', ['--decompress', '--threads=0', ...compressed]);
  const modules = compressed.map((path) => path.replace(/\.xz$/, ''));
  await execa('strip', ['--strip-debug', '--remove-section=.BTF', ...modules]);
}

/** Sets the SELinux labels, and the marks that spare the guest the work of a first boot. */
async function labelTree(root: string): Promise<void> {
  await execa('touch', [join(root, 'etc/.updated'), join(root, 'var/.updated')]);
  await withMounts(async (mounts) => {
    await mounts.mount(root, '', '--bind');
    const policy = '/etc/selinux/default';
    await mounts.chroot('setfiles', '-F', `${policy}/contexts/files/file_contexts`, '/');
  });
}

async function digestFolder(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries
    .filter((each) => !each.isDirectory())
    .sort((a, b) => (path(a) < path(b) ? -1 : 1))) {
    hash.update(path(entry)).update(await readFile(path(entry)));
  }
  return hash.digest('hex');

  function path(entry: { parentPath: string; name: string }): string {
    return join(entry.parentPath, entry.name);
  }
}

function only(pattern: string): string {
  const [path, ...more] = globSync(pattern);
  if (path === undefined || more.length > 0) throw new Error(`not exactly one ${pattern}`);
  return path;
}
