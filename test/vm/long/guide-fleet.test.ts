import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blocksOf } from '../../harness/pages/blocks.ts';
import { PageRun } from '../../harness/pages/run.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { until } from '../../wire/support/until.ts';
import { dnfTree } from '../harness/dnf.ts';
import { layout } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { ask, filling } from '../libvirt/fixture.ts';
import { type Hypervisor, withHypervisor } from '../libvirt/hypervisor.ts';
import { asInGuide, local, treeIn, withLogMachine, writeInventory } from '../libvirt/page-machines.ts';
import { ansibleEnvironment } from '../libvirt/playbooks.ts';
import { type VirtualGuest, defineGuest, untilUp } from '../libvirt/virtual-guest.ts';

/** Runs the commands of docs/guide.md for Ansible, with the inventory that the guide shows, in four boots of two guests. */
const fleet = suite('docs/guide.md: many guests');

const names = ['web2', 'web3'];

fleet('the playbooks install the package in ordinary guests, and seal and report them', () =>
  withHypervisor((host) =>
    withLogMachine(async (server) => {
      const guests = await ordinaryGuests(host, host.folder);
      const each = <T>(work: (guest: VirtualGuest) => Promise<T>) => Promise.all(guests.map(work));
      const tree = await treeIn(host.folder);
      const [inventory] = blocksOf('docs/guide.md').filter(({ language }) => language === 'yaml');
      assert.match(inventory?.text ?? '', 'web[2:10]: {}');
      const two = inventory?.text.replace('[2:10]', '[2:3]') ?? '';
      await writeInventory(tree, two, host, Object.fromEntries(guests.map((guest) => [guest.name, guest])));
      await server.machine('install -m 0644 docs/log-server/rsyslog-relp.conf /etc/rsyslog.d/immutafs.conf');
      await server.start();
      await each((guest) => host.virsh('start', guest.name));
      await each((guest) => untilUp(guest, 600));

      // The sockets of ssh in this directory need a short path.
      await whileTemporaryDirectory(async (home) => {
        const controller = local(tree, ansibleEnvironment(home));
        const pages = new PageRun('test/vm/long/guide-fleet.test.ts', { 'on the controller': controller });
        await pages.section('docs/guide.md', 'Ten guests');
        await each((guest) => ask(guest, 'immutafs-agent status'));
        const report = await readFile(join(tree, 'fleet.html'), 'utf8');
        assert.ok(names.every((name) => report.includes(name)));
        for (const name of names) {
          const count = `grep -c ' Linux version ' /var/log/guests/${name}/journal.log`;
          const sealedBoot = async () => (await server.machine(count)).output === '2';
          await until(`the log of ${name} has the boot after the move, and the sealed boot`, sealedBoot, 60);
        }
        pages.assertComplete();
      });
    }),
  ),
);

/** Defines guests that are shut off, with the layout that an installer creates, and an empty second disk. */
async function ordinaryGuests(host: Hypervisor, folder: string): Promise<VirtualGuest[]> {
  const template = await templateOf(layout({ home: null, fstab: 'installed' }), await dnfTree());
  const fill = await filling(folder);
  const guests = [];
  for (const name of names) {
    const guest = await defineGuest(host, {
      ...{ name, template, memoryMiB: 2048, reachesHost: true },
      edit: async (root, mounts) => {
        await fill(root, mounts);
        await asInGuide(name)(root, mounts);
      },
    });
    guests.push(guest);
  }
  return guests;
}

fleet.run();
