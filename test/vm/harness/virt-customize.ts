import { mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
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
 * Runs virt-customize(1) on a disk image, in emulation. Its appliance mounts the file systems of the image, and runs each
 * command in a chroot.
 * @param image a raw image, which is changed
 * @returns what virt-customize wrote to stdout and stderr
 */
export async function virtCustomize(image: string, options: readonly string[]): Promise<string> {
  const tree = await guestfsTree();
  return withMounts(async (mounts) => {
    await mounts.mount(join(tree, 'root'), '', '--bind');
    await mountKernelFileSystems(mounts);
    await mkdir(join(mounts.root, 'run/image'), { recursive: true });
    await mounts.mount(dirname(image), '/run/image', '--bind');
    const environment = [
      'LIBGUESTFS_BACKEND=direct',
      'LIBGUESTFS_BACKEND_SETTINGS=force_tcg',
      'TMPDIR=/run',
      'HOME=/run',
    ];
    const command = [
      'virt-customize',
      '--format',
      'raw',
      '-a',
      `/run/image/${basename(image)}`,
      '--no-network',
      ...options,
    ];
    return mounts.chroot('env', ...environment, 'sh', '-c', 'exec "$@" 2>&1', 'sh', ...command);
  });
}
