import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { execa } from 'execa';

/** The files for QEMU's -kernel and -initrd. */
export interface BootFiles {
  kernel: string;
  initramfs: string;
}

/** Finds the initramfs in a folder such as /boot. Its name depends on the version of dracut. */
export async function bootFilesIn(folder: string, kernel: string): Promise<BootFiles> {
  const names = await readdir(folder);
  const initramfs = names.find((name) => /^(initrd|initramfs)[.-]/.test(name));
  if (initramfs === undefined) throw new Error(`no initramfs in ${folder}: ${names.join(' ')}`);
  return { kernel, initramfs: join(folder, initramfs) };
}

/**
 * Extracts the ELF kernel from a bzImage. QEMU boots an ELF kernel by PVH, which saves the seconds that an emulated
 * machine needs to decompress a bzImage.
 *
 * Source: Documentation/arch/x86/boot.rst, setup_sects, payload_offset, payload_length. The last four bytes
 * of the payload are the decompressed size and not part of the compressed data.
 */
export async function extractKernel(bzImage: string, target: string): Promise<void> {
  const image = await readFile(bzImage);
  const start = (image.readUInt8(0x1f1) + 1) * 512 + image.readUInt32LE(0x248);
  const length = image.readUInt32LE(0x24c);
  const payload = image.subarray(start, start + length - 4);
  await writeFile(target, await decompress(payload));
}

/** Programs that decompress a payload, by its first bytes in hexadecimal. Debian 13 uses zstd, earlier releases others. */
const programs: readonly (readonly [magic: string, program: string])[] = [
  ['fd377a585a00', 'xz'],
  ['02214c18', 'lz4'],
];

async function decompress(payload: Buffer): Promise<Uint8Array> {
  const start = payload.subarray(0, 6).toString('hex');
  const [, program] = programs.find(([magic]) => start.startsWith(magic)) ?? [];
  if (program === undefined) return zstdDecompressSync(payload);
  const options = { input: payload, encoding: 'buffer', maxBuffer: 1024 ** 3 } as const;
  return (await execa(program, ['--decompress', '--stdout'], options)).stdout;
}
