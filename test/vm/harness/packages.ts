import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { mountTree, withMounts } from './mounts.ts';
import { debianOf, type Release, releases, usualRelease } from './release.ts';
import { withRunFolder } from './run-folder.ts';
import { derivedTree } from './tree.ts';

/**
 * Returns a copy of a tree with further Debian packages.
 *
 * @param kind see `derivedTree`
 * @param finish shell text that runs in the tree after the installation
 * @param release that of the tree
 */
export async function treeWithPackages(
  kind: string,
  from: string,
  packages: string[],
  finish = '',
  release: Release = usualRelease,
): Promise<string> {
  const recipe = { packages, finish, release, install: [String(install), installFiles] };
  return derivedTree(kind, from, recipe, (root) => install(root, packages, finish, release));
}

/**
 * dpkg does not install a package before those that it pre-depends on are configured, and configures packages only when
 * it has unpacked all. The first run leaves such packages out, and the second run installs them. No script of a package
 * starts a service: it would run on this machine.
 */
const installFiles = `
  export DEBIAN_FRONTEND=noninteractive
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  dpkg --install "$@" || dpkg --install --skip-same-version "$@"
  rm /usr/sbin/policy-rc.d
`;

/** The tree has no apt, so the apt of this machine resolves and downloads the missing packages. */
async function install(root: string, packages: string[], finish: string, release: Release): Promise<void> {
  await withRunFolder(async (folder) => {
    await mkdir(join(folder, 'partial'));
    const options = [`Dir::State::status=${root}/var/lib/dpkg/status`, `Dir::Cache::archives=${folder}`];
    const apt = (...words: string[]) =>
      execa('apt-get', ['--quiet=2', ...options.flatMap((option) => ['-o', option]), ...words]);
    const { sources } = releases[debianOf(release)];
    if (sources !== undefined) {
      const [list, lists] = [join(folder, 'sources.list'), join(folder, 'lists')];
      await writeFile(list, sources.map((line) => `${line}\n`).join(''));
      await mkdir(join(lists, 'partial'), { recursive: true });
      options.push(`Dir::Etc::SourceList=${list}`, 'Dir::Etc::SourceParts=-', `Dir::State::Lists=${lists}`);
      await apt('update');
    }
    await apt('install', '--yes', '--no-install-recommends', '--download-only', ...packages);
    const downloaded = (await readdir(folder)).filter((name) => name.endsWith('.deb'));
    await withMounts(async (mounts) => {
      await mountTree(mounts, root);
      await execa('cp', ['--recursive', folder, join(mounts.root, 'run/debs')]);
      const files = downloaded.map((name) => `/run/debs/${name}`);
      await mounts.chroot('sh', '-ec', installFiles, 'sh', ...files);
      if (finish !== '') await mounts.chroot('sh', '-ec', finish);
    });
  });
}
