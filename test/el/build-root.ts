import { join } from 'node:path';
import { execa } from 'execa';
import { cached } from '../vm/harness/cache.ts';
import { mountTree, withMounts } from '../vm/harness/mounts.ts';
import { type DebianRelease, releases } from '../vm/harness/release.ts';
import { type RhelRelease, rhelReleases } from './releases.ts';

/** What builds the parts of a release, and the libraries that they are linked with. */
const packages = [
  ...[
    'gcc',
    'make',
    'flex',
    'bison',
    'bc',
    'perl',
    'gawk',
    'm4',
    'python3',
    'python3-jinja2',
    'meson',
    'ninja-build',
    'gperf',
  ],
  ...[
    'pkg-config',
    'kmod',
    'cpio',
    'rsync',
    'gettext',
    'file',
    'xsltproc',
    'checkpolicy',
    'semodule-utils',
    'policycoreutils',
  ],
  ...[
    'libelf-dev',
    'libssl-dev',
    'openssl',
    'libcap-dev',
    'libmount-dev',
    'libblkid-dev',
    'libfdisk-dev',
    'libseccomp-dev',
    'libselinux1-dev',
  ],
  ...[
    'libaudit-dev',
    'libacl1-dev',
    'libpam0g-dev',
    'libkmod-dev',
    'liblz4-dev',
    'liblzma-dev',
    'libzstd-dev',
    'libgcrypt20-dev',
  ],
  ...['libcryptsetup-dev', 'libcrypt-dev', 'libtss2-dev'],
];

/** Entries of the cache that take long to make are kept for this number of minutes after their last use. */
export const keepMinutes = 7 * 24 * 60;

async function buildRoot(release: DebianRelease): Promise<string> {
  const { debootstrap, mirror } = releases[release];
  const recipe = { release, packages, debootstrap, mirror };
  const build = async (folder: string) => {
    const options = ['--quiet', '--variant=apt', ...debootstrap, `--include=${packages.join(',')}`];
    await execa('mmdebstrap', [
      ...options,
      release,
      join(folder, 'root'),
      ...(mirror === undefined ? [] : [mirror]),
    ]);
  };
  return join(await cached('el-build-root', recipe, build, keepMinutes), 'root');
}

/**
 * Runs lines of sh with the tools of the base of a release.
 *
 * @param folder is `/src` there, and the directory of the lines
 * @throws if a line fails
 */
export async function build(release: RhelRelease, folder: string, lines: string): Promise<void> {
  await buildOn(rhelReleases[release].base, folder, lines);
}

/** Does the same with the tools of a release of Debian. */
export async function buildOn(base: DebianRelease, folder: string, lines: string): Promise<void> {
  const root = await buildRoot(base);
  await withMounts(async (mounts) => {
    await mountTree(mounts, root);
    await execa('mkdir', ['-p', join(root, 'src')]);
    await mounts.mount(folder, '/src', '--bind');
    await mounts.chroot('sh', '-ec', `cd /src\n${lines}`);
  });
}
