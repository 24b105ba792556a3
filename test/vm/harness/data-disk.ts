import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Drive } from './qemu.ts';
import { withRunFolder } from './run-folder.ts';

const uuid = '2f5a0000-0000-4000-8000-000000000001';

/**
 * Calls `work` with a data disk with an ext4 and no SELinux labels.
 *
 * @param directories the directories in the file system, which is empty by default
 * @param sizeMiB the size of the disk
 */
export async function withDataDisk<T>(
  work: (drive: Drive) => Promise<T>,
  directories: readonly string[] = [],
  sizeMiB = 200,
): Promise<T> {
  return withRunFolder(async (folder) => {
    const file = join(folder, 'data.raw');
    const content = join(folder, 'content');
    for (const path of ['.', ...directories]) await mkdir(join(content, path), { recursive: true });
    await execa('truncate', ['--size', `${sizeMiB}M`, file]);
    await execa('mkfs.ext4', ['-q', '-m', '0', '-U', uuid, '-d', content, file]);
    return work({ serial: 'data', file, format: 'raw', readOnly: false, bus: 'virtio-blk' });
  });
}

/**
 * Configures PERSIST on the data disk, which is mounted on /data.
 *
 * @param options further mount options of /data
 */
export async function persistOnDataDisk(root: string, paths: string, options = ''): Promise<void> {
  const all = ['noexec,nosuid,nodev,nofail,x-systemd.device-timeout=60s', options].filter(Boolean).join();
  await appendFile(join(root, 'etc/fstab'), `UUID=${uuid} /data ext4 ${all} 0 0\n`);
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), `PERSIST=${paths}\nPERSIST_STORE=/data/store\n`);
  await mkdir(join(root, 'data'));
}
