import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { cached } from './cache.ts';
import { mountKernelFileSystems, withMounts } from './mounts.ts';

const packages = [
  'guestfs-tools',
  'linux-image-cloud-amd64',
  'qemu-system-x86',
  'qemu-utils',
  'xfsprogs',
  'lvm2',
];
const excluded = ['man', 'doc', 'locale'].map((folder) => `/usr/share/${folder}/*`);

/** Returns a tree with Debian's virt-customize(1) and a kernel for its appliance, which this machine need not have. */
export function guestfsTree(): Promise<string> {
  return cached('guestfs-tree', { packages, excluded }, async (folder) => {
    await execa('mmdebstrap', [
      ...['--quiet', '--variant=apt', '--dpkgopt=force-unsafe-io', `--include=${packages.join(',')}`],
      ...excluded.map((glob) => `--dpkgopt=path-exclude=${glob}`),
      ...['trixie', join(folder, 'root')],
    ]);
  });
}

/**
 * Runs a command of sh with virt-customize(1) in its path, in emulation. The appliance of virt-customize mounts the file
 * systems of an image, and runs each `--run-command` in a chroot.
 * @param folder the working directory, and the only one of this machine that the command can use
 * @returns what the command wrote to stdout and stderr @throws if it fails
 */
export async function withGuestfs(folder: string, command: string): Promise<string> {
  const tree = await guestfsTree();
  return withMounts(async (mounts) => {
    await mounts.mount(join(tree, 'root'), '', '--bind');
    await mountKernelFileSystems(mounts);
    await mkdir(join(mounts.root, 'run/work'), { recursive: true });
    await mounts.mount(folder, '/run/work', '--bind');
    const environment = {
      LIBGUESTFS_BACKEND: 'direct',
      LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg',
      TMPDIR: '/run',
      HOME: '/run',
    };
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    return mounts.chroot('env', '--chdir=/run/work', ...variables, 'sh', '-euc', `exec 2>&1\n${command}`);
  });
}
