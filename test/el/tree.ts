import { globSync, lstatSync } from 'node:fs';
import { appendFile, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { type Mounts, mountTree, withMounts } from '../vm/harness/mounts.ts';
import type { DebianRelease } from '../vm/harness/release.ts';
import { debianTree, derivedTree } from '../vm/harness/tree.ts';
import { dracut } from './dracut.ts';
import { kernel } from './kernel.ts';
import { policy } from './policy.ts';
import { type RhelRelease, rhelReleases } from './releases.ts';
import { sourcesOf } from './policy-sources.ts';
import { requireRepositories, rhel } from './sources.ts';
import { systemd } from './systemd.ts';

/** Packages of Debian whose programs and units RHEL's replace. */
const replaced =
  /^(systemd(-\w+)*|udev|libsystemd(0|-shared)|libudev1|lib(pam|nss)-systemd|dracut(-\w+)?|selinux-policy-default)$/;

/** Where Debian has files that RHEL's policy knows elsewhere. */
const equivalent = `/usr/lib/x86_64-linux-gnu /usr/lib64
/usr/lib/systemd/systemd-sysv-install /usr/sbin/chkconfig
`;

/** @throws MissingSources if a repository is not there */
export function requireSources(releases: readonly RhelRelease[]): void {
  requireRepositories(releases.flatMap((each) => [...Object.values(rhel[each]), ...sourcesOf(each)]));
}

/**
 * Returns a tree with the kernel, systemd, dracut and SELinux policy of a release of RHEL, built from its sources, in place of
 * those of Debian. All other programs are Debian's.
 */
export async function rhelTree(release: RhelRelease): Promise<string> {
  requireSources([release]);
  const parts = {
    kernel: await kernel(release),
    systemd: await systemd(release),
    dracut: await dracut(release),
    policy: await policy(release),
  };
  const recipe = {
    parts: Object.values(parts).map((folder) => basename(folder)),
    replaced: replaced.source,
    equivalent,
    functions: [install, makeMachineIdModule, quietRpm].map(String),
  };
  const { base } = rhelReleases[release];
  const change = (root: string) => install(root, parts, base);
  return derivedTree('el-tree', await debianTree(base), recipe, change, parts.kernel);
}

type PartFolders = Record<'kernel' | 'systemd' | 'dracut' | 'policy', string>;

async function install(root: string, parts: PartFolders, base: DebianRelease): Promise<void> {
  await removePackages(root);
  // The initramfs of RHEL's dracut has another name.
  for (const file of globSync(join(root, 'boot/initrd.img-*'))) await rm(file);
  await installKernel(root, parts.kernel);
  for (const part of [parts.systemd, parts.dracut]) await copyOver(join(part, 'root'), root);
  await execa('ln', ['-sf', '../lib/systemd/systemd', join(root, 'usr/sbin/init')]);
  // RHEL has no networkd. With its policy, this unit fails.
  await rm(join(root, 'usr/lib/systemd/system/systemd-networkd-persistent-storage.service'), { force: true });
  // As in RHEL, whose dracut needs it.
  await execa('ln', ['-sf', 'bash', join(root, 'usr/bin/sh')]);
  await copyOver(join(parts.policy, 'etc'), join(root, 'etc/selinux/targeted'));
  await writeFile(join(root, 'etc/selinux/config'), 'SELINUX=enforcing\nSELINUXTYPE=targeted\n');
  await appendFile(join(root, 'etc/selinux/targeted/contexts/files/file_contexts.subs_dist'), equivalent);
  await copyFile(join(parts.policy, 'base.pp'), join(root, 'run/base.pp'));
  await withMounts(async (mounts) => {
    await mounts.mount(root, '', '--bind');
    await mounts.mount('proc', '/proc', '-t', 'proc');
    await mounts.chroot('semodule', '-n', '-X', '100', '-s', 'targeted', '-i', '/run/base.pp');
    await mounts.chroot('ldconfig');
  });
  await rm(join(root, 'run/base.pp'));
  await makeMachineIdModule(root);
  if (base !== 'trixie') await quietRpm(root);
  // The module fips needs the OpenSSL of RHEL.
  await writeFile(join(root, 'etc/dracut.conf.d/fips.conf'), 'omit_dracutmodules+=" fips "\n');
  await withMounts(async (mounts) => {
    await mountTree(mounts, root);
    await finish(mounts);
  });
}

/**
 * Adds a module of dracut that copies the machine ID, which RHEL's initramfs has because it is made for its host. Without it,
 * a guest of RHEL 8 did not forward the messages of its initramfs.
 */
async function makeMachineIdModule(root: string): Promise<void> {
  const folder = join(root, 'usr/lib/dracut/modules.d/01machine-id');
  await mkdir(folder);
  const text = '#!/bin/bash\ninstall() {\n    cp /etc/machine-id "$initdir/etc/machine-id"\n}\n';
  await writeFile(join(folder, 'module-setup.sh'), text, { mode: 0o755 });
}

/** Makes rpm of Debian 11 and 12 install packages without the advice not to. */
async function quietRpm(root: string): Promise<void> {
  const options = ['-i', '--install', '-U', '--upgrade', '-e', '--erase'];
  const aliases = options.map((option) => `rpm alias ${option} ${option} --force-debian\n`);
  await writeFile(join(root, 'etc/popt'), aliases.join(''));
}

/** Puts a kernel in the place of that of Debian. */
async function installKernel(root: string, folder: string): Promise<void> {
  for (const file of globSync(join(root, 'boot/{vmlinuz,config,System.map}-*'))) await rm(file);
  await rm(join(root, 'usr/lib/modules'), { recursive: true });
  await copyOver(join(folder, 'boot'), join(root, 'boot'));
  await copyOver(join(folder, 'lib/modules'), join(root, 'usr/lib/modules'));
}

async function finish(mounts: Mounts): Promise<void> {
  await mounts.chroot('systemd-sysusers');
  await mounts.chroot('dracut', '--quiet', '--regenerate-all', '--force');
}

/** Removes the files of packages, except the configuration. */
async function removePackages(root: string): Promise<void> {
  const lists = globSync(join(root, 'var/lib/dpkg/info/*.list')).filter((file) =>
    replaced.test(basename(file, '.list').replace(/:.*$/, '')),
  );
  for (const list of lists)
    for (const path of (await readFile(list, 'utf8'))
      .split('\n')
      .filter((each) => /^\/(usr|lib|bin|sbin|boot)\//.test(each)))
      // Directories, also those that other packages share, stay.
      if (lstatSync(join(root, path), { throwIfNoEntry: false })?.isDirectory() === false)
        await rm(join(root, path));
}

async function copyOver(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  await execa('cp', ['--archive', '--no-target-directory', '--remove-destination', from, to]);
}
