import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { linkCollection } from '../../harness/collection.ts';
import { blocksOf } from '../../harness/pages/blocks.ts';
import { PageRun } from '../../harness/pages/run.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { isMarked } from '../harness/scratch.ts';
import { local, systemPath } from '../libvirt/page-machines.ts';
import { ansibleEnvironment } from '../libvirt/playbooks.ts';
import { note, withPool } from '../libvirt/scripted-guest.ts';
import type { Pool } from '../libvirt/scripted-guest.ts';

/** Runs the commands of docs/images.md for the host, with the inventory that the page shows, on stub domains. */
const images = suite('docs/images.md: the host');

images('a seed is made and attached, the next version is built, and a pool gets it', () =>
  withPool(
    ['web1', 'web2'],
    async (pool) => {
      const { host, state } = pool;
      const folder = join(host.folder, 'images');
      await mkdir(join(folder, 'web1'), { recursive: true });
      for (const file of ['web1/meta-data', 'web1/user-data', 'web-2026.11.qcow2'])
        await writeFile(join(folder, file), '');
      const controller = join(host.folder, 'controller');
      await writeInventory(controller, pool);
      await whileTemporaryDirectory(async (home) => {
        linkCollection(join(home, 'collections'));
        const machines = {
          'on the controller': local(controller, ansibleEnvironment(home)),
          'on the host': local(folder, { PATH: systemPath, LIBVIRT_DEFAULT_URI: host.uri }),
        };
        const pages = new PageRun('test/vm/matrix/images-page.test.ts', machines, {
          '/var/lib/libvirt/images/web-2026.12.qcow2': join(host.folder, 'web-2026.12.raw'),
          '/var/lib/libvirt/images': folder,
        });
        await pages.section('docs/images.md', 'Identity from a seed of the host', { machine: 'on the host' });
        assert.match(await host.virsh('dumpxml', '--inactive', 'web1'), /web1\.iso[\s\S]*dev='sda'/);
        await pages.section('docs/images.md', 'The next version of an image');
        assert.equal(await state(), ['web1 running one', 'web2 running one']);
        await pages.section('docs/images.md', 'A pool: many guests from one image');
        assert.equal(await state(), ['web1 running web-2026.12.raw', 'web2 running web-2026.12.raw']);
        await pages.section('docs/images.md', 'A disk for SCRATCH in each guest of a pool');
        for (const name of ['web1', 'web2']) {
          assert.match(await host.virsh('dumpxml', name), '<serial>scratch</serial>');
          const disk = { serial: 'scratch', file: join(host.folder, `${name}-scratch.raw`) };
          assert.ok(await isMarked(disk, (await host.virsh('domuuid', name)).trim()));
        }
        pages.assertComplete();
      });
    },
    ['web'],
  ),
);

/** Writes the inventory that the page shows, the guests of its pool, and what the controller must know about the test. */
async function writeInventory(folder: string, { host, common }: Pool): Promise<void> {
  const blocks = blocksOf('docs/images.md').filter(({ language }) => language === 'yaml');
  const shown = blocks.find(({ heading }) => heading === 'The next version of an image');
  assert.ok(shown);
  await mkdir(join(folder, 'host_vars'), { recursive: true });
  await mkdir(join(folder, 'group_vars'));
  const others = {
    ungrouped: { hosts: { kvm1: {} } },
    immutafs_guests: {
      hosts: { web1: {}, web2: {} },
      vars: { immutafs_hypervisor: 'kvm1', immutafs_disk: 'vda' },
    },
  };
  const lines = Object.entries(others).map(([group, value]) => `${group}: ${JSON.stringify(value)}\n`);
  await writeFile(join(folder, 'inventory.yml'), shown.text + lines.join(''));
  const write = (file: string, variables: Record<string, unknown>) =>
    writeFile(join(folder, `${file}.yml`), JSON.stringify(variables));
  await write('group_vars/all', {
    ...common,
    ...{ immutafs_uri: host.uri, immutafs_backlog_required: false },
    immutafs_update_commands: note('update'),
  });
  await write('host_vars/kvm1', {
    ansible_connection: 'local',
    ansible_python_interpreter: '/usr/bin/python3',
  });
  for (const file of (await readdir(host.folder)).filter((name) => name.startsWith('port-'))) {
    const name = (await readFile(join(host.folder, file), 'utf8')).replace('-builder', '');
    const at = { ansible_host: '127.0.0.1', ansible_port: Number(file.slice('port-'.length)) };
    // libvirt has no network in the tests.
    await write(`host_vars/${name}`, name === 'web' ? { ...at, immutafs_builder_network: '' } : at);
  }
}

images.run();
