import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { linkCollection } from '../../harness/collection.ts';
import { PageRun } from '../../harness/pages/run.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { isMarked } from '../harness/scratch.ts';
import { hostMachine, local } from '../libvirt/page-machines.ts';
import { ansibleEnvironment } from '../libvirt/playbooks.ts';
import { withPool } from '../libvirt/scripted-guest.ts';

/**
 * Runs commands of docs/images.md on stub domains: those by which a seed is made and attached manually, and those that make the
 * disks for SCRATCH. `long/images-page.test.ts` runs the others.
 */
const images = suite('docs/images.md: the host');

const names = ['web1', 'web2'];

images('a seed is made and attached, and each guest of a pool gets a disk for SCRATCH', () =>
  withPool(names, async ({ host, common, ports }) => {
    await mkdir(join(host.folder, 'web1'), { recursive: true });
    for (const file of ['meta-data', 'user-data']) await writeFile(join(host.folder, 'web1', file), '');
    const kvm1 = { ansible_connection: 'local', ansible_python_interpreter: '/usr/bin/python3' };
    const vars = { ...common, immutafs_uri: host.uri, immutafs_hypervisor: 'kvm1', immutafs_disk: 'vda' };
    const hosts = Object.entries(ports).map(([name, port]) => [
      name,
      { ansible_host: '127.0.0.1', ansible_port: port },
    ]);
    const guests = { hosts: Object.fromEntries(hosts) as unknown, vars };
    const inventory = { ungrouped: { hosts: { kvm1 } }, immutafs_guests: guests };
    await writeFile(join(host.folder, 'inventory.yml'), JSON.stringify(inventory));
    await whileTemporaryDirectory(async (home) => {
      linkCollection(join(home, 'collections'));
      const machines = {
        'on the controller': local(host.folder, ansibleEnvironment(home)),
        'on the host': hostMachine(host),
      };
      const pages = new PageRun('test/vm/matrix/images-page.test.ts', machines, {
        '/var/lib/libvirt/images': host.folder,
      });
      await pages.section('docs/images.md', 'Identity from a seed of the host', { machine: 'on the host' });
      assert.match(await host.virsh('dumpxml', '--inactive', 'web1'), /web1\.iso[\s\S]*dev='sda'/);
      await pages.section('docs/images.md', 'A disk for SCRATCH in each guest of a pool');
      for (const name of names) {
        assert.match(await host.virsh('dumpxml', name), '<serial>scratch</serial>');
        const disk = { serial: 'scratch', file: join(host.folder, `${name}-scratch.raw`) };
        assert.ok(await isMarked(disk, (await host.virsh('domuuid', name)).trim()));
      }
      pages.assertComplete();
    });
  }),
);

images.run();
