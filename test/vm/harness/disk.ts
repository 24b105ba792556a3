import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { cached } from './cache.ts';
import { fstab } from './fstab.ts';
import type { Layout } from './layout.ts';
import { volumeUuid } from './layout.ts';
import { withLoop } from './loop.ts';
import { withMounts } from './mounts.ts';
import type { Mounts } from './mounts.ts';
import { divideDisks } from './place.ts';
import type { Images, Placement } from './place.ts';
import { type MkfsOptions, mkfsOptions } from './release.ts';

/** Changes the mounted file systems of a guest; `root` is the guest's `/`. */
export type Edit = (root: string, mounts: Mounts) => Promise<void>;

/** The disk images of a guest, and the position of each volume in them. */
export interface Disks {
  images: Images;
  placements: Placement[];
}

/**
 * Returns disks of a layout with the files of a tree. The images are cached and shared, so they must not be changed.
 */
export async function disksOf(layout: Layout, tree: string): Promise<Disks> {
  const folder = await cached('disk', { layout, tree: basename(tree), format: 2 }, async (unfinished) => {
    const images = imagesIn(unfinished);
    const placements = await divideDisks(layout, images);
    for (const placement of placements) await format(images, placement, mkfsOptions(layout.release));
    await editDisks({ images, placements }, async (root) => {
      await execa('cp', ['--archive', '--no-target-directory', join(tree, 'root'), root]);
      await writeFile(join(root, 'etc/fstab'), fstab(layout));
    });
    await describeDisks(unfinished, placements);
  });
  return disksIn(folder);
}

/** Returns the disks that `describeDisks` has described in a folder. */
export async function disksIn(folder: string): Promise<Disks> {
  const placements = JSON.parse(await readFile(join(folder, 'placements.json'), 'utf8')) as Placement[];
  return { images: imagesIn(folder), placements };
}

/** Records the placements in a folder of images, for `disksIn`. */
export async function describeDisks(folder: string, placements: Placement[]): Promise<void> {
  await writeFile(join(folder, 'placements.json'), JSON.stringify(placements));
}

/** Copies all images to a folder. The caller may change the copies. */
export async function copyDisks({ images, placements }: Disks, folder: string): Promise<Disks> {
  const copies = imagesIn(folder);
  for (const disk of new Set(placements.map((placement) => placement.disk))) {
    await execa('cp', ['--sparse=always', '--reflink=auto', images[disk], copies[disk]]);
  }
  return { images: copies, placements };
}

/** Mounts all volumes as the guest does, calls `edit`, and unmounts the volumes cleanly. */
export async function editDisks({ images, placements }: Disks, edit: Edit): Promise<void> {
  const mountable = placements.filter(({ volume }) => volume.filesystem !== 'swap');
  const outerFirst = mountable.toSorted((a, b) => a.volume.target.length - b.volume.target.length);
  await withMounts(async (mounts) => {
    for (const { volume, disk, ...extent } of outerFirst) {
      const target = volume.target === '/' ? '' : volume.target;
      if (target !== '') await execa('mkdir', ['--parents', join(mounts.root, target)]);
      // All images of a layout have the same UUIDs, and another process may have mounted one of them.
      const options = volume.filesystem === 'xfs' ? ['-o', 'nouuid'] : [];
      await withLoop(images[disk], extent, (device) => mounts.mount(device, target, ...options));
    }
    await edit(mounts.root, mounts);
  });
}

/**
 * Changes unmounted volumes.
 *
 * @param damage shell text by target of the volume; $1 is its device
 *
 * @throws if a command fails, or if no volume has such a target
 */
export async function damageDisks(
  { images, placements }: Disks,
  damage: Record<string, string>,
): Promise<void> {
  for (const [target, lines] of Object.entries(damage)) {
    const placement = placements.find(({ volume }) => volume.target === target);
    if (!placement) throw new Error(`no volume for ${target}`);
    await withLoop(images[placement.disk], placement, (device) => execa('sh', ['-ec', lines, 'sh', device]));
  }
}

/** Returns the paths of the images in a folder. */
export function imagesIn(folder: string): Images {
  return { system: join(folder, 'system.raw'), home: join(folder, 'home.raw') };
}

async function format(
  images: Images,
  { volume, disk, ...extent }: Placement,
  { xfs, ext4 }: MkfsOptions,
): Promise<void> {
  const uuid = volumeUuid(volume);
  const command = {
    // mkfs.xfs refuses sizes below 300 MiB without this option.
    xfs: ['mkfs.xfs', '-q', '-f', '--unsupported', '-m', `uuid=${uuid}`, ...xfs],
    ext4: ['mkfs.ext4', '-q', '-F', '-U', uuid, ...ext4],
    swap: ['mkswap', '--quiet', '--uuid', uuid],
  }[volume.filesystem];
  await withLoop(images[disk], extent, (device) => execa('env', [...command, device]));
}
