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

/** Changes the mounted root of a guest; its paths are those of the guest below `root`. */
export type Edit = (root: string, mounts: Mounts) => Promise<void>;

/** The images of a guest and where the volumes are in them. */
export interface Disks {
  images: Images;
  placements: Placement[];
}

/** Disks of a layout that hold a tree; made once for the two and shared: read only. */
export async function disksOf(layout: Layout, tree: string): Promise<Disks> {
  const folder = await cached('disk', { layout, tree: basename(tree), format: 1 }, async (unfinished) => {
    const images = imagesIn(unfinished);
    const placements = await divideDisks(layout, images);
    for (const placement of placements) await format(images, placement);
    await editDisks({ images, placements }, async (root) => {
      await execa('cp', ['--archive', '--no-target-directory', join(tree, 'root'), root]);
      await writeFile(join(root, 'etc/fstab'), fstab(layout));
    });
    await describeDisks(unfinished, placements);
  });
  return disksIn(folder);
}

/** The disks that a folder holds. */
export async function disksIn(folder: string): Promise<Disks> {
  const placements = JSON.parse(await readFile(join(folder, 'placements.json'), 'utf8')) as Placement[];
  return { images: imagesIn(folder), placements };
}

/** Leaves in a folder of images what they hold, for `disksIn`. */
export async function describeDisks(folder: string, placements: Placement[]): Promise<void> {
  await writeFile(join(folder, 'placements.json'), JSON.stringify(placements));
}

/** A copy of its own of all images, in a folder, for writing to them from here. */
export async function copyDisks({ images, placements }: Disks, folder: string): Promise<Disks> {
  const copies = imagesIn(folder);
  for (const disk of new Set(placements.map((placement) => placement.disk))) {
    await execa('cp', ['--sparse=always', '--reflink=auto', images[disk], copies[disk]]);
  }
  return { images: copies, placements };
}

/** Mounts all volumes as the guest does, calls `edit`, and unmounts them cleanly. */
export async function editDisks({ images, placements }: Disks, edit: Edit): Promise<void> {
  const mountable = placements.filter(({ volume }) => volume.filesystem !== 'swap');
  const outerFirst = mountable.toSorted((a, b) => a.volume.target.length - b.volume.target.length);
  await withMounts(async (mounts) => {
    for (const { volume, disk, ...extent } of outerFirst) {
      const target = volume.target === '/' ? '' : volume.target;
      if (target !== '') await execa('mkdir', ['--parents', join(mounts.root, target)]);
      // Images of one layout have the same UUIDs, and another process may have one of them mounted.
      const options = volume.filesystem === 'xfs' ? ['-o', 'nouuid'] : [];
      await withLoop(images[disk], extent, (device) => mounts.mount(device, target, ...options));
    }
    await edit(mounts.root, mounts);
  });
}

/**
 * Changes volumes that nobody has mounted, by lines of sh in which $1 is the device.
 *
 * @throws if a line fails, or there is no volume for a target
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

/** The images' paths in a folder of theirs. */
export function imagesIn(folder: string): Images {
  return { system: join(folder, 'system.raw'), home: join(folder, 'home.raw') };
}

async function format(images: Images, { volume, disk, ...extent }: Placement): Promise<void> {
  const uuid = volumeUuid(volume);
  const command = {
    // Less than 300 MiB is not supported, but made.
    xfs: ['mkfs.xfs', '-q', '-f', '--unsupported', '-m', `uuid=${uuid}`],
    ext4: ['mkfs.ext4', '-q', '-F', '-U', uuid],
    swap: ['mkswap', '--quiet', '--uuid', uuid],
  }[volume.filesystem];
  await withLoop(images[disk], extent, (device) => execa('env', [...command, device]));
}
