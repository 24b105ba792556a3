/**
 * libvirt freezes the file systems of a sealed guest by its guest agent, and takes snapshots of its data disk, which holds a
 * path of PERSIST, with the commands of docs/host.md.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blocksOf, commandsIn } from '../../harness/pages/blocks.ts';
import { sleep, until } from '../../wire/support/until.ts';
import { agentTree } from '../harness/agent.ts';
import type { Edit } from '../harness/disk.ts';
import { configure } from '../harness/edit.ts';
import { layout } from '../harness/layout.ts';
import { treeWithPackages } from '../harness/packages.ts';
import { agentChannel } from '../libvirt/agent-domain.ts';
import { ask, defineSealed, statusIn } from '../libvirt/fixture.ts';
import { type Hypervisor, refusalOf, withHypervisor } from '../libvirt/hypervisor.ts';
import type { VirtualGuest } from '../libvirt/virtual-guest.ts';

const quiesce = suite('docs/host.md: frozen file systems');

interface Fixture {
  host: Hypervisor;
  guest: VirtualGuest;
  /** Runs the command of the page that begins with these words. */
  run: (...words: string[]) => Promise<string>;
  /** The number of lines that the guest has written to the path of PERSIST. */
  lines: () => Promise<number>;
}

/** The data disk has an ext4, because its superblock says whether the log must be replayed. */
const withHomeOnExt4 = layout({
  home: { target: '/home', filesystem: 'ext4', sizeMiB: 320, options: 'defaults,noexec,nodev,nosuid' },
});

const keep: Edit = async (root) => {
  await mkdir(join(root, 'var/lib/kept'));
  await configure('PERSIST=/var/lib/kept\nPERSIST_STORE=/home/store\n')(root);
};

const commands = blocksOf('docs/host.md')
  .filter(({ heading, language }) => heading === 'Freezing the file systems' && language === 'sh')
  .flatMap(({ text }) => commandsIn(text));

/** Returns the words after `virsh` of the command of the page that begins with these words. */
function commandOf(...start: string[]): string[] {
  const found = commands.find(({ text }) => text.startsWith(`virsh ${start.join(' ')} `));
  assert.ok(found, start.join(' '));
  return found.text.split(' ').slice(1);
}

const here = (word: string, folder: string) => word.replace('GUEST', 'guest').replace('/backup', folder);

function withGuest(work: (fixture: Fixture) => Promise<void>): Promise<void> {
  return withHypervisor(async (host) => {
    const tree = await treeWithPackages('guest-agent-tree', await agentTree(), ['qemu-guest-agent']);
    const guest = await defineSealed(host, {
      ...{ layout: withHomeOnExt4, tree, edit: keep, devices: agentChannel, homeFormat: 'qcow2' },
    });
    await ask(guest, writer);
    await until('the guest agent answers', () => isConnected(host), 120);
    await work({
      ...{ host, guest },
      run: (...start) => host.virsh(...commandOf(...start).map((word) => here(word, host.folder))),
      lines: async () => Number(await ask(guest, 'wc -l </var/lib/kept/file')),
    });
  });
}

const isConnected = ({ virsh }: Hypervisor) =>
  virsh('qemu-agent-command', 'guest', '{"execute":"guest-ping"}').then(
    () => true,
    () => false,
  );

const writer = `systemd-run --unit=writer sh -c 'while :; do echo line; sync /var/lib/kept/file; sleep 0.1; done >/var/lib/kept/file'`;

const source = async ({ virsh }: Hypervisor, target: string) =>
  new RegExp(`^ ${target} +(.*)$`, 'm').exec(await virsh('domblklist', 'guest'))?.[1] ?? '';

/** Whether the log of the ext4 in an image must be replayed. */
async function needsRecovery(image: string): Promise<boolean> {
  const raw = `${image}.raw`;
  await execa('qemu-img', ['convert', '-U', '-O', 'raw', image, raw]);
  return (await execa('dumpe2fs', ['-h', raw])).stdout.includes('needs_recovery');
}

quiesce('a sealed guest is frozen and thawed; only writes to the data disk wait', () =>
  withGuest(async ({ host, guest, run, lines }) => {
    assert.match(await host.virsh('domfsinfo', 'guest'), /ext4 +vdb/);
    assert.match(await run('domfsfreeze'), /^Froze \d+ filesystem/);
    const frozen = await lines();
    await ask(guest, 'echo x >/var/lib/reset');
    await sleep(3000);
    assert.is(await lines(), frozen);
    assert.is((await statusIn(guest)).report.verdict, 'sealed');
    await run('domfsthaw');
    await until('writes continue', async () => (await lines()) > frozen, 60);

    const disks = async () => [await source(host, 'vda'), await source(host, 'vdb')];
    const before = await disks();
    const [system = '', data = ''] = before;
    await run('snapshot-create-as');
    assert.equal(await disks(), [system, join(host.folder, 'vdb.frozen.qcow2')]);
    assert.is(await needsRecovery(data), false, 'the file system was frozen');
    const atSnapshot = await lines();
    await until('the guest writes', async () => (await lines()) > atSnapshot, 60);
    await run('blockcommit');
    assert.equal(await disks(), before);
    await rm(join(host.folder, 'vdb.frozen.qcow2'));

    // The counterpart: the same command without --quiesce.
    const plain = commandOf('snapshot-create-as').filter((word) => word !== '--quiesce');
    await host.virsh(...plain.map((word) => here(word, host.folder).replace('frozen', 'running')));
    assert.is(await needsRecovery(data), true);
    await run('blockcommit');

    await ask(guest, 'systemctl stop qemu-guest-agent');
    assert.match(await refusalOf(run('snapshot-create-as')), /guest agent is not (connected|responding)/i);
    assert.equal(await disks(), before, 'no snapshot was made');
    const { exit, report } = await statusIn(guest);
    assert.equal([exit, report.verdict, report.enforcement], [0, 'sealed', 'host']);
  }),
);

quiesce.run();
