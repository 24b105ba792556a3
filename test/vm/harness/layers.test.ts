import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { imagesIn } from './disk.ts';
import { readBoot } from './layers.ts';

const [MiB, size] = [1024 * 1024, 4];
const content = randomBytes(3.5 * MiB);

/** Reads a file that fills an ext4 at the second MiB of a disk, of which `copied` MiB are read. */
const readFrom = (copied: number) =>
  whileTemporaryDirectory(async (folder) => {
    const [files, target, images] = [join(folder, 'files'), join(folder, 'target'), imagesIn(folder)];
    for (const each of [files, target]) await mkdir(each);
    await writeFile(join(files, 'initramfs'), content);
    await writeFile(images.system, '');
    await truncate(images.system, 6 * MiB);
    const ext4 = ['-q', '-O', '^has_journal', '-m', '0', '-d', files, '-E', `offset=${MiB}`];
    await execa('mkfs.ext4', [...ext4, images.system, `${size}M`]);
    const volume = { target: '/boot', filesystem: 'ext4', sizeMiB: size } as const;
    const placement = { volume, disk: 'system', offset: MiB, size: copied * MiB } as const;
    await readBoot({ images, placements: [placement] }, folder, target);
    return readFile(join(target, 'initramfs'));
  });

const layers = suite('the layers over the disks of a guest');
layers('/boot is read to its last block', async () => {
  assert.ok(content.equals(await readFrom(size)));
});
layers('a file of /boot that cannot be read whole is an error', async () => {
  const said = await readFrom(size - 1).then(String, String);
  assert.match(said, /\/boot cannot be read: [^]* short read/);
});
layers.run();
