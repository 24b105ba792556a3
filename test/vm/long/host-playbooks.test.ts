import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blocksOf } from '../../harness/pages/blocks.ts';
import { PageRun } from '../../harness/pages/run.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { agentTree } from '../harness/agent.ts';
import { dnfTree } from '../harness/dnf.ts';
import { xfsOnLvm } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { freePort } from '../libvirt/domain.ts';
import { ask, filling, seal } from '../libvirt/fixture.ts';
import { forwardingTo, startRelpServer } from '../libvirt/forwarding.ts';
import { type Hypervisor, withHypervisor } from '../libvirt/hypervisor.ts';
import { look } from '../libvirt/package.ts';
import { local, treeIn, writeInventory } from '../libvirt/page-machines.ts';
import { ansibleEnvironment, withAnsible } from '../libvirt/playbooks.ts';
import { type VirtualGuest, defineGuest } from '../libvirt/virtual-guest.ts';

/**
 * Runs the commands of docs/host.md for Ansible, with the inventory that the page shows, in three boots of a guest: open for
 * the update, sealed, and restarted for its evidence.
 */
const playbooks = suite('docs/host.md: Ansible');

const withAnsibleHeading = 'With Ansible, for many guests';

/** A guest of the inventory of the page, whose domain has another name. */
const web2 = { name: 'web2', domain: 'web-two' };

const planted = '/var/cache/planted';

playbooks('a sealed guest is updated, and restarted after its evidence was fetched', () =>
  withHypervisor(async (host) => {
    const { folder } = host;
    const port = await freePort();
    const stop = await startRelpServer(folder, port);
    try {
      const guest = await sealedGuest(host, folder, port);
      const tree = await treeIn(folder);
      await writeInventory(tree, inventoryOfPage(), host, { [web2.name]: guest });
      const evidence = join(folder, 'evidence');
      // The sockets of ssh in this directory need a short path.
      await whileTemporaryDirectory(async (home) => {
        const machine = 'on the controller';
        const pages = new PageRun(
          'test/vm/long/host-playbooks.test.ts',
          { [machine]: local(tree, ansibleEnvironment(home)) },
          { '/srv/evidence': evidence },
        );
        await pages.section('docs/host.md', withAnsibleHeading, { machine });
        assert.is(await ask(guest, look.database), '2');
        await ask(guest, 'immutafs-agent status');
        assert.ok(readdirSync(join(tree, 'dist')).some((name) => name.endsWith('.tar.gz')));

        const before = await ask(guest, `echo planted >${planted}; cat ${bootId}`);
        await pages.section('docs/host.md', 'Evidence, and discarding it', { machine });
        await ask(guest, `immutafs-agent status && ! [ -e ${planted} ]`);
        assert.is.not(await ask(guest, `cat ${bootId}`), before);
        await assertEvidence(join(evidence, web2.name));
        pages.assertComplete();
      });
    } finally {
      stop();
    }
  }),
);

const bootId = '/proc/sys/kernel/random/boot_id';

/** Returns a guest that is shut off and sealed, and that forwards to a port. */
async function sealedGuest(host: Hypervisor, folder: string, port: number): Promise<VirtualGuest> {
  const fill = await filling(folder);
  const guest = await defineGuest(host, {
    name: web2.domain,
    template: await templateOf(xfsOnLvm, await dnfTree(agentTree())),
    ...{ memoryMiB: 1536, reachesHost: true },
    edit: async (root, mounts) => {
      await fill(root, mounts);
      await mounts.chroot('rpm', '--install', '/root/1.rpm');
      await forwardingTo(port)(root, mounts);
    },
  });
  await withAnsible(host, [guest], (ansible) => seal(ansible, host, guest));
  return guest;
}

/** Returns the inventory of the page, without its other guest. */
function inventoryOfPage(): string {
  const [inventory] = blocksOf('docs/host.md').filter(
    ({ heading, language }) => heading === withAnsibleHeading && language === 'yaml',
  );
  assert.match(inventory?.text ?? '', `${web2.name}: { immutafs_domain: ${web2.domain} }`);
  return inventory?.text.replace(/^ *web1: .*\n/m, '') ?? '';
}

/** Asserts that `evidence` and `recycle` have each fetched an export, which has the planted file and the right digest. */
async function assertEvidence(directory: string): Promise<void> {
  const files = readdirSync(directory);
  assert.is(files.length, 4, files.join(' '));
  for (const archive of files.filter((name) => name.endsWith('.tar'))) {
    await execa('sha256sum', ['--check', '--status', `${archive}.sha256`], { cwd: directory });
    const { stdout } = await execa('tar', ['-xOf', join(directory, archive), `files${planted}`]);
    assert.is(stdout, 'planted');
  }
}

playbooks.run();
