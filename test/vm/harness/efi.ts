import { globSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BootFiles } from './kernel.ts';
import { withRunFolder } from './run-folder.ts';

/** Calls `work` with the variables of a new UEFI firmware (Debian's OVMF), to be given to each boot of a guest. */
export async function withEfiVariables(work: (efiVariables: string) => Promise<void>): Promise<void> {
  await withRunFolder(async (folder) => {
    const variables = join(folder, 'variables.fd');
    await copyFile('/usr/share/OVMF/OVMF_VARS_4M.fd', variables);
    await work(variables);
  });
}

/** The same with the tree's own bzImage: QEMU cannot start an ELF file by UEFI. */
export function efiBootFiles({ kernel, initramfs }: BootFiles): BootFiles {
  const [bzImage, ...more] = globSync(join(dirname(kernel), 'root/boot/vmlinuz-*'));
  if (bzImage === undefined || more.length > 0) throw new Error(`not exactly one kernel beside ${kernel}`);
  return { kernel: bzImage, initramfs };
}

/** Started by OVMF, an emulated guest misjudges its time stamp counter: its clock would be many times too fast. */
export const efiArguments = ['tsc=unstable', 'clocksource=acpi_pm'];
