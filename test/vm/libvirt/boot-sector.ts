import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { imagesIn } from '../harness/disk.ts';

const sector = 512;
/** The first sector behind the partition table. The first partition begins at 1 MiB. */
const coreSector = 34;
/** GRUB's boot.img: where the sector of the core image is (GRUB_BOOT_MACHINE_KERNEL_SECTOR). */
const kernelSector = 0x5c;
/** GRUB's diskboot.img, the first sector of the core image: the list of the other sectors (GRUB_BOOT_MACHINE_LIST_SIZE). */
const list = { at: 0x1f4, segment: 0x820 };

/**
 * Installs GRUB in the boot sector of the system disk of a guest, as grub-bios-setup(8) does without a device map, so that the
 * firmware starts the guest from this disk.
 * @param folder the folder of the guest, in which `makeLoader` has left the core image
 */
export async function installBootSector(folder: string): Promise<void> {
  const boot = await readFile('/usr/lib/grub/i386-pc/boot.img');
  boot.writeBigUInt64LE(BigInt(coreSector), kernelSector);
  const core = await readFile(join(folder, 'core.img'));
  core.writeBigUInt64LE(BigInt(coreSector + 1), list.at);
  core.writeUInt16LE(Math.ceil(core.length / sector) - 1, list.at + 8);
  core.writeUInt16LE(list.segment, list.at + 10);
  const image = await open(imagesIn(folder).system, 'r+');
  try {
    // The rest of the first sector is the partition table.
    await image.write(boot, 0, 440, 0);
    await image.write(core, 0, core.length, coreSector * sector);
  } finally {
    await image.close();
  }
}
