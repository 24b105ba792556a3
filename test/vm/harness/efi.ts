import { globSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BootFiles } from './kernel.ts';
import { withRunFolder } from './run-folder.ts';

/** Calls `work` with the variable store of a new UEFI firmware (Debian's OVMF), for each boot of one guest. */
export async function withEfiVariables(work: (efiVariables: string) => Promise<void>): Promise<void> {
  await withRunFolder(async (folder) => {
    const variables = join(folder, 'variables.fd');
    await copyFile('/usr/share/OVMF/OVMF_VARS_4M.fd', variables);
    await work(variables);
  });
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
