import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from '../vm/harness/cache.ts';
import { build, keepMinutes } from './build-root.ts';
import { type RhelRelease } from './releases.ts';
import { commitOf, exportSource, rhel } from './sources.ts';

// The link of ossl-config names its library before its source, and the compiler of Debian drops unused libraries.
const variables = `enable_documentation=no CRYPTO_FLAGS='-Wl,--no-as-needed -lcrypto -fPIE -pie'`;

const commands = `cd source
./configure --prefix=/usr --sysconfdir=/etc --libdir=/usr/lib --systemdsystemunitdir=/usr/lib/systemd/system --disable-documentation
make -s ${variables}
make -s install ${variables} DESTDIR=/src/root`;

/**
 * Builds RHEL's dracut.
 *
 * @returns a folder whose `root` has the files of `make install`
 */
export async function dracut(release: RhelRelease): Promise<string> {
  const source = rhel[release].dracut;
  return cached(
    'el-dracut',
    { release, commit: await commitOf(source), commands },
    async (folder) => {
      await exportSource(source, join(folder, 'source'));
      await build(release, folder, commands);
      await rm(join(folder, 'source'), { recursive: true });
    },
    keepMinutes,
  );
}
