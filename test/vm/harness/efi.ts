import { globSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import type { BootFiles } from './kernel.ts';
import { withRunFolder } from './run-folder.ts';

/** Calls `work` with the variable store of a new UEFI firmware (Debian's OVMF), for each boot of one guest. */
export async function withEfiVariables(work: (efiVariables: string) => Promise<void>): Promise<void> {
  await withRunFolder(async (folder) => work(await newEfiVariables(folder)));
}

/** Makes the variable store of a new UEFI firmware in a folder. @returns its path */
export async function newEfiVariables(folder: string): Promise<string> {
  const variables = join(folder, 'variables.fd');
  await copyFile('/usr/share/OVMF/OVMF_VARS_4M.fd', variables);
  return variables;
}

/** Replaces the kernel with the tree's bzImage, because UEFI cannot start an ELF file. */
export function efiBootFiles({ kernel, initramfs }: BootFiles): BootFiles {
  const [bzImage, ...more] = globSync(join(dirname(kernel), 'root/boot/vmlinuz-*'));
  if (bzImage === undefined || more.length > 0) throw new Error(`not exactly one kernel beside ${kernel}`);
  return { kernel: bzImage, initramfs };
}

/**
 * Kernel arguments that avoid a wrongly calibrated time stamp counter: without them, the clock of an emulated guest that
 * OVMF has started runs many times too fast.
 */
export const efiArguments = ['tsc=unstable', 'clocksource=acpi_pm'];

const espMiB = 96;

/**
 * Appends an EFI system partition to a disk image. The partition contains GRUB as the default boot loader, a kernel, and
 * an initramfs.
 *
 * @param uuid the UUID of the partition (PARTUUID)
 * @param words the kernel arguments
 * @returns the number of the partition
 */
export async function appendEsp(
  image: string,
  uuid: string,
  { kernel, initramfs }: BootFiles,
  words: string[],
): Promise<number> {
  await execa('truncate', ['--size', `+${espMiB + 2}M`, image]);
  await execa('sfdisk', ['--quiet', '--relocate', 'gpt-bak-std', image]);
  const input = `size=${espMiB}MiB,type=U,uuid=${uuid}\n`;
  await execa('sfdisk', ['--quiet', '--append', image], { input });
  const { stdout } = await execa('sfdisk', ['--json', image]);
  const { partitiontable } = JSON.parse(stdout) as { partitiontable: { partitions: { start: number }[] } };
  const { partitions } = partitiontable;
  await withRunFolder(async (folder) => {
    const [esp, grub, early] = [join(folder, 'esp'), join(folder, 'grub.efi'), join(folder, 'grub.cfg')];
    await writeFile(early, `linux /vmlinuz ${words.join(' ')}\ninitrd /initramfs\nboot\n`);
    const modules = ['part_gpt', 'fat', 'linux'];
    await execa('grub-mkimage', [
      ...['--format', 'x86_64-efi', '--prefix', '/', '--output', grub, '--config', early],
      ...modules,
    ]);
    await execa('truncate', ['--size', `${espMiB}M`, esp]);
    await execa('mkfs.vfat', ['-F', '32', esp]);
    await execa('mmd', ['-i', esp, '::EFI', '::EFI/BOOT']);
    for (const [file, target] of [
      [grub, 'EFI/BOOT/BOOTX64.EFI'],
      [kernel, 'vmlinuz'],
      [initramfs, 'initramfs'],
    ] as const) {
      await execa('mcopy', ['-i', esp, file, `::${target}`]);
    }
    const seek = `seek=${partitions.at(-1)?.start}`;
    await execa('dd', [`if=${esp}`, `of=${image}`, 'bs=512', seek, 'conv=notrunc', 'status=none']);
  });
  return partitions.length;
}
