import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import { copyDisks, editDisks, imagesIn } from '../harness/disk.ts';
import { xfsOnLvm } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { type Hypervisor, redefine, setReadOnly, withHypervisor } from '../libvirt/hypervisor.ts';
import { killAt, withAnsible } from '../libvirt/playbooks.ts';
import { type VirtualGuest, atPort, defineGuest } from '../libvirt/virtual-guest.ts';

/** Tests the playbook pool with guests that boot. `matrix/pool.test.ts` tests it with several stub domains. */
const pool = suite('two guests get the next image of their pool');

const imageFile = (version: string) => `NAME=pool\nVERSION=${version}\nBUILT=2026-01-02T03:04:05Z\n`;

pool('the second one fails its health command and returns, and runs that are killed are continued', () =>
  withHypervisor(async (host) => {
    const template = await templateOf(xfsOnLvm, await agentTree());
    const options = { template, memoryMiB: 1536 };
    const first = await defineGuest(host, {
      ...options,
      name: 'web1',
      edit: (root) => writeFile(join(root, 'etc/immutafs/image'), imageFile('1')),
    });
    const one = imagesIn(first.folder).system;
    const second = await defineGuestWith(
      host,
      one,
      first,
      await defineGuest(host, { ...options, name: 'web2' }),
    );
    await setReadOnly(host, 'web1', true);
    const two = join(host.folder, 'two');
    await mkdir(two);
    const disks = await copyDisks(
      { images: imagesIn(first.folder), placements: template.disks.placements },
      two,
    );
    await editDisks(disks, (root) => writeFile(join(root, 'etc/immutafs/image'), imageFile('2')));
    const common = {
      immutafs_image_format: 'raw',
      immutafs_state_directory: join(host.folder, 'state'),
      immutafs_backlog_required: false,
      immutafs_lose_state: true,
      immutafs_health_wait: 0,
      immutafs_image: imagesIn(two).system,
      immutafs_image_version: '2',
    };
    const variables = {
      ...common,
      immutafs_health_commands: [['test', '{{ inventory_hostname }}', '=', 'web1']],
    };
    /** Asserts that both guests are sealed, from which files, and from which versions. */
    const assertImages = async (...expected: { image: string; version: string }[]) => {
      for (const [index, guest] of [first, second].entries()) {
        const xml = await host.virsh('dumpxml', guest.name);
        const image = /<source file='([^']*)'/.exec(xml)?.[1];
        const { exit, stdout } = await guest.ssh(
          'immutafs-agent status >/dev/null && cat /etc/immutafs/image',
        );
        const version = /^VERSION=(.*)$/m.exec(stdout)?.[1];
        assert.equal({ image, version, exit }, { ...expected[index], exit: 0 }, guest.name);
      }
    };
    const [before, after] = [
      { image: one, version: '1' },
      { image: imagesIn(two).system, version: '2' },
    ];
    await withAnsible(host, [first, second], async (ansible) => {
      const sealed = await ansible.play('seal', { ...common, immutafs_serial: 2 });
      assert.is(sealed.exit, 0, sealed.output);
      await assertImages(before, before);

      await killAt(ansible.start('pool', variables), 'Wait until the guest has started', 600);
      await killAt(ansible.start('pool', variables), 'Wait until the guest has shut down', 600);
      await killAt(ansible.start('pool', variables), 'Reinstate the receipt', 600);
      const returned = await ansible.play('pool', variables);
      assert.is(returned.exit, 2, returned.output);
      const [bad = '', ...others] = returned.report;
      assert.match(bad, /^web2: sealed; rolled back: Run the health commands: /, returned.output);
      assert.equal(
        others,
        ['web1: sealed. FAILED: not continued, because another guest failed'],
        returned.output,
      );
      await assertImages(after, before);

      // The counterpart: the health command succeeds.
      const moved = await ansible.play('pool', { ...common, immutafs_image_retry: true });
      assert.equal([moved.exit, moved.report], [0, ['web1: sealed', 'web2: sealed']], moved.output);
      await assertImages(after, after);
    });
  }),
);

/** Lets a guest start from the image of another guest, read-only. @returns the guest, with the key that the image accepts */
async function defineGuestWith(
  host: Hypervisor,
  image: string,
  { key }: VirtualGuest,
  guest: VirtualGuest,
): Promise<VirtualGuest> {
  await setReadOnly(host, guest.name, true);
  await redefine(host, guest.name, (xml) => xml.replace(imagesIn(guest.folder).system, image));
  return atPort({ ...guest, key }, guest.port);
}

pool.run();
