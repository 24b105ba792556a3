import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import { editDisks, imagesIn } from '../harness/disk.ts';
import { xfsOnLvm } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { emulatorFor, withHostKeys } from '../libvirt/builder.ts';
import { freePort } from '../libvirt/domain.ts';
import { filling } from '../libvirt/fixture.ts';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import { withAnsible } from '../libvirt/playbooks.ts';
import { defineGuest } from '../libvirt/virtual-guest.ts';

/** Tests the playbook image with a builder that boots. `matrix/image-build.test.ts` has its failures, with stub domains. */
const build = suite('a builder makes the next version of an image');

build('it is updated with rpm, generalised and tried; the template is never started', () =>
  withHypervisor(async (host) => {
    const { folder } = host;
    const template = await templateOf(xfsOnLvm, await agentTree());
    const port = await freePort();
    const emulator = await emulatorFor(folder, 'web-builder', port);
    const fill = await filling(folder);
    const guest = await defineGuest(host, {
      ...{ name: 'web1', template, emulator, memoryMiB: 1536 },
      edit: async (root, mounts) => {
        await fill(root, mounts);
        await withHostKeys(root, mounts);
      },
    });
    const variables = {
      ...{ immutafs_hosts: 'web', immutafs_builder_template: 'web1', immutafs_builder_disks: ['vdb'] },
      ...{ immutafs_image_version: '2', immutafs_state_directory: join(folder, 'state') },
      ...{ immutafs_start_timeout: 600, immutafs_settle_timeout: 30, ansible_timeout: 10 },
      immutafs_update_commands: [['rpm', '--install', '/root/1.rpm']],
      immutafs_image_arguments: ['--accept', '/var/lib', '/var/log', '/var/spool', '/etc/ssh'],
      immutafs_health_commands: [['sh', '-c', 'test "$(rpm --query updated)" = updated-1-1.noarch']],
      immutafs_lose_state: true,
    };
    const web = { name: 'web', port, key: guest.key };
    const run = async (ansible: Parameters<Parameters<typeof withAnsible>[2]>[0]) => {
      const { exit, report, output } = await ansible.play('image', variables);
      process.stdout.write(`${report.join('\n')}\n`);
      assert.is(exit, 0, output);
      const path = join(guest.folder, 'web-2.raw');
      assert.match(report.join('\n'), /web-2\.raw: 1 packages added, 0 removed, SHA-256 /);
      const receipt = JSON.parse(await readFile(`${path}.json`, 'utf8')) as { changes: unknown };
      assert.equal(receipt.changes, { removed: [], added: ['updated 1-1.noarch'] });
      const disks = {
        images: { ...imagesIn(guest.folder), system: path },
        placements: template.disks.placements,
      };
      await editDisks(disks, async (root) => {
        const read = (file: string) => readFile(join(root, file), 'utf8');
        assert.match(await read('etc/immutafs/image'), /^NAME=web\nVERSION=2\nBUILT=/);
        assert.is(await read('etc/machine-id'), '');
        const keys = await read('etc/ssh/ssh_host_ed25519_key').catch(() => 'none');
        assert.is(keys, 'none');
      });
    };
    await withAnsible(host, [guest], run, [web]);
  }),
);

build.run();
