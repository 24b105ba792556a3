import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import { copyDisks, editDisks, imagesIn } from '../harness/disk.ts';
import { xfsOnLvm } from '../harness/layout.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { templateOf } from '../harness/template.ts';
import { setReadOnly } from '../libvirt/agent-domain.ts';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import { withAnsible } from '../libvirt/playbooks.ts';
import { defineGuest } from '../libvirt/virtual-guest.ts';

/** Tests the playbook pool with a guest that boots. `matrix/pool.test.ts` tests it with several stub domains. */
const pool = suite('a guest gets the next image of its pool');

const imageFile = (version: string) => `NAME=pool\nVERSION=${version}\nBUILT=2026-01-02T03:04:05Z\n`;

pool('it boots sealed from the next version, and returns to it from one that fails a health command', () =>
  withRunFolder((folder) =>
    withHypervisor(folder, async (host) => {
      const template = await templateOf(xfsOnLvm, await agentTree());
      const options = { template, memoryMiB: 1536 };
      const guest = await defineGuest(host, {
        ...options,
        name: 'guest',
        edit: (root) => writeFile(join(root, 'etc/immutafs/image'), imageFile('1')),
      });
      /** Makes a version in a copy of the disk. */
      const build = async (version: string): Promise<string> => {
        const copy = join(folder, version);
        await mkdir(copy);
        const { placements } = template.disks;
        const disks = await copyDisks({ images: imagesIn(guest.folder), placements }, copy);
        await editDisks(disks, (root) => writeFile(join(root, 'etc/immutafs/image'), imageFile(version)));
        return imagesIn(copy).system;
      };
      const [two, three] = [await build('2'), await build('3')];
      await setReadOnly(host, 'guest', guest.folder, true);
      const common = {
        immutafs_image_format: 'raw',
        immutafs_state_directory: join(folder, 'state'),
        immutafs_backlog_required: false,
        immutafs_health_commands: [['grep', '-q', '^VERSION=2$', '/etc/immutafs/image']],
      };
      const sourceOf = async () =>
        /<source file='([^']*)'/.exec(await host.virsh('dumpxml', '--inactive', 'guest'))?.[1];
      await withAnsible(host, [guest], async (ansible) => {
        const good = { ...common, immutafs_image: two, immutafs_image_version: '2' };
        const first = await ansible.play('pool', good);
        assert.equal([first.exit, first.report], [0, ['guest: sealed']], first.output);
        assert.is(await sourceOf(), two);

        const bad = { ...common, immutafs_image: three, immutafs_image_version: '3' };
        const second = await ansible.play('pool', bad);
        assert.is(second.exit, 2, second.output);
        assert.match(
          second.report.join('\n'),
          /^guest: sealed; rolled back: Run the health commands: /,
          second.output,
        );
        assert.is(await sourceOf(), two);
        const { stdout } = await guest.ssh('cat /etc/immutafs/image; immutafs-agent status --json');
        assert.match(stdout, /^NAME=pool\nVERSION=2\n/);
      });
    }),
  ),
);

pool.run();
