import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { availableParallelism } from 'node:os';
import { cached } from '../vm/harness/cache.ts';
import { build, keepMinutes } from './build-root.ts';
import { type RhelRelease } from './releases.ts';
import { commitOf, exportSource, rhel } from './sources.ts';

const libraries = '/usr/lib/x86_64-linux-gnu';

/**
 * As RHEL's spec files configure it, with the library directory of Debian, without what the guests do not use, and with networkd,
 * from which the guests of the tests have their addresses.
 */
const options = [
  ...[
    '--prefix=/usr',
    '--sysconfdir=/etc',
    '--localstatedir=/var',
    `--libdir=${libraries}`,
    `-Drootlibdir=${libraries}`,
  ],
  ...[`-Dpamlibdir=${libraries}/security`, '-Dsplit-usr=false', '-Dsplit-bin=true', '-Db_lto=false'],
  ...[
    'selinux',
    'audit',
    'seccomp',
    'pam',
    'kmod',
    'blkid',
    'acl',
    'libcryptsetup',
    'xz',
    'lz4',
    'gcrypt',
  ].map(on),
  ...[
    '-Dima=true',
    '-Drfkill=true',
    '-Dnobody-user=nobody',
    '-Dnobody-group=nobody',
    '-Ddev-kvm-mode=0666',
    '-Drpmmacrosdir=no',
  ],
  ...['timesyncd', 'resolve', 'portabled', 'importd', 'hwdb', 'man', 'html', 'tests', 'smack'].map(
    (name) => `-D${name}=false`,
  ),
];
function on(name: string): string {
  return `-D${name}=true`;
}

/**
 * Builds RHEL's systemd.
 *
 * @returns a folder whose `root` has the files of `ninja install`, without links that enable units: RHEL has presets
 */
export async function systemd(release: RhelRelease): Promise<string> {
  const source = rhel[release].systemd;
  const commands = `cd source
meson setup build ${[...options, ...source.options].join(' ')}
ninja -C build -j${availableParallelism()}
DESTDIR=/src/root ninja -C build install
rm -rf /src/root/etc/systemd/system/*`;
  const recipe = { release, commit: await commitOf(source), commands };
  return cached(
    'el-systemd',
    recipe,
    async (folder) => {
      await exportSource(source, join(folder, 'source'));
      await build(release, folder, commands);
      await rm(join(folder, 'source'), { recursive: true });
    },
    keepMinutes,
  );
}
