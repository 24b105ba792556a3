import { createHash } from 'node:crypto';
import { appendFile, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';
import { statusOf } from './expect.ts';
import type { Boot } from './guest.ts';
import type { Drive } from './qemu.ts';

/** The UUID of a guest whose disks `markDisk` has marked. */
export const uuid = '4c4c4544-0042-3510-8053-b7c04f4e5931';

/** Returns the mark of a disk for the guest with the UUID, as the Ansible collection writes it. */
export const markOf = ({ serial }: Pick<Drive, 'serial'>, machine = uuid) =>
  callPlugin('module_utils.scratch_mark', 'mark_of', machine, `/dev/disk/by-id/virtio-${serial}`) as string;

/** Marks a disk for the guest with the UUID. */
export async function markDisk(drive: Drive, machine = uuid): Promise<void> {
  const file = await open(drive.file, 'r+');
  await file.write(markOf(drive, machine));
  await file.close();
}

/** Whether a disk begins with its mark for the guest with the UUID. */
export async function isMarked(drive: Pick<Drive, 'serial' | 'file'>, machine = uuid): Promise<boolean> {
  const mark = markOf(drive, machine);
  const file = await open(drive.file);
  const { buffer } = await file.read(Buffer.alloc(mark.length), 0, mark.length, 0);
  await file.close();
  return buffer.toString('latin1') === mark;
}

/** Returns the SHA-256 of the content of a disk. */
export const checksum = async ({ file }: Drive) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

/** Whether a text is anywhere on a disk. */
export async function contains({ file }: Drive, text: string): Promise<boolean> {
  const { exitCode } = await execa('grep', ['--quiet', '--text', '--fixed-strings', text, file], {
    reject: false,
  });
  assert.ok(exitCode === 0 || exitCode === 1, `grep ended with ${exitCode}`);
  return exitCode === 0;
}

/** Configures SCRATCH, and creates its paths with a file in each on the system disk. */
export async function configureScratch(root: string, items: string, device: string): Promise<void> {
  const config = `SCRATCH=${items}\nSCRATCH_DEVICE=${device}\n`;
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), config);
  for (const item of items.split(' ')) {
    const path = join(root, item.split(':')[0] ?? '');
    await mkdir(path, { recursive: true });
    await writeFile(join(path, 'of-the-disk'), 'disk\n');
  }
}

/** Returns the states of the paths, in the order of SCRATCH. */
export const statesOf = (boot: Boot, step?: string) =>
  statusOf(boot, step).report.scratch.map(({ state }) => state);

/** Prints what the boot says about the device. */
export const deviceStep = 'cat /run/immutafs/scratch-device';
