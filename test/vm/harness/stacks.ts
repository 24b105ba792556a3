import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { agentTree } from './agent.ts';
import type { Drive } from './qemu.ts';
import { withRunFolder } from './run-folder.ts';

const MiB = 1024 * 1024;

/** The arrays and file systems on the disk `stack`, whose partitions are listed in `sizesMiB`. */
export const uuids = {
  array: '1f5a0000:00004000:80000000:00000001',
  md: '1f5a0000-0000-4000-8000-000000000011',
  luks: '1f5a0000-0000-4000-8000-000000000013',
  inLuks: '1f5a0000-0000-4000-8000-000000000014',
  rootArray: '1f5a0000:00004000:80000000:00000002',
  rootMd: '1f5a0000-0000-4000-8000-000000000015',
};

/** The two members of an array, LUKS, and the two members of the root's array. */
const sizesMiB = [48, 48, 48, 700, 700];
const rootMembers = [4, 5];

/** The position of the data of the root's array in its members (mdadm(8), --data-offset). */
const dataOffsetMiB = 1;
/** The superblock of metadata 1.2 is 4 KiB after the start of the member (md(4)). */
const superblock = 4096;

export interface Stacks {
  /** The disk and an empty disk of the same size, both writable. */
  writable: Drive[];
  /** Both disks, the first one read-only. */
  sealed: Drive[];
  /** As `sealed`. The read-only disk has only the first member of the root's array. */
  spanning: () => Promise<Drive[]>;
}

/**
 * Calls `work` with a disk that has the file systems and data for the arrays, which a guest creates. The root contains
 * the agent's tree.
 *
 * @param prepare changes the files of the root
 */
export async function withStacks(
  prepare: (root: string) => Promise<void>,
  work: (stacks: Stacks) => Promise<void>,
): Promise<void> {
  await withRunFolder(async (folder) => {
    const [stack = '', copy = '', short = ''] = ['stack', 'copy', 'short'].map((name) => join(folder, name));
    const total = sizesMiB.reduce((sum, size) => sum + size, 2);
    await execa('truncate', ['--size', `${total}M`, stack, copy]);
    const input = ['label: gpt', ...sizesMiB.map((size) => `size=${size}MiB`), ''].join('\n');
    await execa('sfdisk', ['--quiet', stack], { input });
    await makeFileSystems(folder, stack, prepare);
    const drive = (serial: string, file: string, readOnly: boolean): Drive => ({
      ...({ serial, file, format: 'raw', bus: 'virtio-blk' } as const),
      readOnly,
    });
    const copied = drive('copy', copy, false);
    await work({
      writable: [drive('stack', stack, false), copied],
      sealed: [drive('stack', stack, true), copied],
      spanning: async () => {
        await execa('cp', ['--sparse=always', '--reflink=auto', stack, short]);
        await eraseSuperblock(short, startMiB(rootMembers[1]));
        return [drive('stack', short, true), copied];
      },
    });
  });
}

async function makeFileSystems(
  folder: string,
  stack: string,
  prepare: (root: string) => Promise<void>,
): Promise<void> {
  const [root, image] = [join(folder, 'root'), join(folder, 'image')];
  await execa('cp', ['--archive', '--reflink=auto', join(await agentTree(), 'root'), root]);
  // The guest mounts /boot from the system disk.
  await execa('find', [join(root, 'boot'), '-mindepth', '1', '-delete']);
  await prepare(root);
  await execa('sed', ['-i', `s#^[^ ]* / .*#UUID=${uuids.rootMd} / ext4 ro 0 0#`, join(root, 'etc/fstab')]);
  await execa('mkfs.ext4', ['-q', '-U', uuids.rootMd, '-d', root, image, '690M']);
  for (const member of rootMembers) {
    const seek = `seek=${startMiB(member) + dataOffsetMiB}`;
    await execa('dd', [`if=${image}`, `of=${stack}`, seek, 'bs=1M', 'conv=notrunc,sparse', 'status=none']);
  }
  for (const path of [root, image]) await rm(path, { recursive: true });
}

/** Returns the start of a partition. sfdisk aligns partitions to 1 MiB. */
function startMiB(number = 1): number {
  return sizesMiB.slice(0, number - 1).reduce((sum, size) => sum + size, 1);
}

async function eraseSuperblock(image: string, atMiB: number): Promise<void> {
  const file = await open(image, 'r+');
  try {
    await file.write(Buffer.alloc(superblock), 0, superblock, atMiB * MiB + superblock);
  } finally {
    await file.close();
  }
}
