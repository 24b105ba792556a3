import { execa } from 'execa';
import type { Layout, Volume } from './layout.ts';
import { withLoop } from './loop.ts';
import type { Extent } from './loop.ts';
import { placeInLvm } from './lvm.ts';

/** Where on which disk of the guest a volume lies. */
export interface Placement extends Extent {
  volume: Volume;
  disk: 'system' | 'home';
}

const MiB = 1024 * 1024;

/**
 * Divides the images of a layout's disks and says where each volume came to lie.
 *
 * Nothing here needs a device-mapper: an LV whose extents follow each other is a stretch of the image, like a
 * partition. Stacks of which that is not true (LUKS, md) would be made by a guest.
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

/** The paths of a guest's disk images; the second one exists only where the layout has a /home. */
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
  // 8 MiB for LVM's own data and for rounding up to extents.
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

/** Partitions one after the other from 1 MiB on. */
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
