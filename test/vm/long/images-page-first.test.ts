import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { editDisks } from '../harness/disk.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { disksOfImage, cloudImage, firstVersion } from '../libvirt/cloud-image.ts';

/**
 * Runs the commands below 'The first version' of docs/images.md with the real virt-customize, on a stand-in for the image of a
 * distribution (see `cloudImage`). `images-page.test.ts` starts guests from the result.
 */
const images = suite('docs/images.md: the first version of an image');

/** Returns what an image contains: its version, the host keys, the line of SEED, and whether the agent is installed. */
async function contentOf(image: string): Promise<unknown> {
  let content: unknown;
  await withRunFolder(async (folder) => {
    const raw = join(folder, 'system.raw');
    await execa('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', image, raw]);
    await editDisks(await disksOfImage(folder), async (root) => {
      const read = (file: string) => readFile(join(root, file), 'utf8').catch(() => '');
      const keys = (await readdir(join(root, 'etc/ssh'))).filter((name) => name.startsWith('ssh_host_'));
      content = {
        keys,
        machineId: await read('etc/machine-id'),
        version: /^VERSION=.*$/m.exec(await read('etc/immutafs/image'))?.[0],
        seed: /^SEED=.*$/m.exec(await read('etc/immutafs/immutafs.conf'))?.[0],
        root: /^\S+ \/ \S+ \S+/m.exec(await read('etc/fstab'))?.[0].replace(/^\S+ /, ''),
        left: (await readdir(join(root, 'root'))).filter((name) => name.startsWith('immutafs')),
      };
    });
  });
  return content;
}

images('virt-customize installs the package in a cloud image and prepares it', async () => {
  const none = { keys: [], machineId: '', left: [] };
  assert.equal(await contentOf(join(await firstVersion(), 'web-2026.11.qcow2')), {
    ...{ ...none, version: 'VERSION=2026.11', seed: 'SEED=host', root: '/ xfs defaults,ro' },
  });
  assert.equal(await contentOf(await cloudImage()), {
    ...{ ...none, version: undefined, seed: undefined, root: '/ xfs defaults' },
  });
});

images.run();
