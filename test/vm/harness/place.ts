import { execa } from 'execa';
import type { Layout, Volume } from './layout.ts';
import { withLoop } from './loop.ts';
import type { Extent } from './loop.ts';
import { placeInLvm } from './lvm.ts';

/** The position of a volume on a disk of the guest. */
export interface Placement extends Extent {
  volume: Volume;
  disk: 'system' | 'home';
}

const MiB = 1024 * 1024;

/**
 * Partitions the images of a layout's disks.
 *
 * The device mapper is not needed, because an LV with contiguous extents is a range of the image, like a partition.
 *
 * @returns the position of each volume
 */
export async function divideDisks(layout: Layout, image: Images): Promise<Placement[]> {
  const { boot, system, home } = layout;
  const placements =
    layout.stack === 'lvm'
      ? await divideWithLvm(image.system, boot, system)
      : await divide(image.system, boot, system);
  if (!home) return placements;
  await execa('truncate', ['--size', `${home.sizeMiB}M`, image.home]);
  return [...placements, { volume: home, disk: 'home', offset: 0, size: home.sizeMiB * MiB }];
}

/** Paths of a guest's disk images; `home` exists only if the layout has a /home. */
export interface Images {
  system: string;
  home: string;
}

async function divide(image: string, boot: Volume, system: Volume[]): Promise<Placement[]> {
  const volumes = [boot, ...system];
  const partitions = await partition(
    image,
    volumes.map(({ sizeMiB }) => sizeMiB),
  );
  return volumes.map((volume, index) => ({ volume, disk: 'system', ...at(partitions, index) }));
}

async function divideWithLvm(image: string, boot: Volume, system: Volume[]): Promise<Placement[]> {
  // Reserve 8 MiB for LVM's own data and for rounding up to extents.
  const poolMiB = system.reduce((sum, { sizeMiB }) => sum + sizeMiB + 4, 8);
  const partitions = await partition(image, [boot.sizeMiB, poolMiB]);
  const pool = at(partitions, 1);
  const extents = await withLoop(image, pool, (device) => placeInLvm(device, system));
  return [
    { volume: boot, disk: 'system', ...at(partitions, 0) },
    ...system.map((volume, index): Placement => {
      const { offset, size } = at(extents, index);
      return { volume, disk: 'system', offset: pool.offset + offset, size };
    }),
  ];
}

/** Creates consecutive partitions, starting at 1 MiB. */
async function partition(image: string, sizesMiB: number[]): Promise<Extent[]> {
  const totalMiB = sizesMiB.reduce((sum, size) => sum + size, 2);
  await execa('truncate', ['--size', `${totalMiB}M`, image]);
  const input = ['label: gpt', ...sizesMiB.map((size) => `size=${size}MiB`), ''].join('\n');
  await execa('sfdisk', ['--quiet', image], { input });
  const { stdout } = await execa('sfdisk', ['--json', image]);
  const { partitiontable } = JSON.parse(stdout) as { partitiontable: { partitions: SfdiskPartition[] } };
  return partitiontable.partitions.map(({ start, size }) => ({ offset: start * 512, size: size * 512 }));
}

interface SfdiskPartition {
  start: number;
  size: number;
}

function at(extents: Extent[], index: number): Extent {
  const extent = extents[index];
  if (!extent) throw new Error(`no extent ${index} among ${extents.length}`);
  return extent;
}
