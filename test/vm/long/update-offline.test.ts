import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { agentTree } from '../harness/agent.ts';
import { xfsOnLvm } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { emulatorFor } from '../libvirt/builder.ts';
import { freePort } from '../libvirt/domain.ts';
import { ask, filling, startSealed, statusIn } from '../libvirt/fixture.ts';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import { type Ansible, withAnsible } from '../libvirt/playbooks.ts';
import { defineGuest } from '../libvirt/virtual-guest.ts';

/** Tests update.yml with `immutafs_update: offline` and a guest that boots. `matrix/update-offline.test.ts` has its failures. */
const offline = suite('a sealed guest is updated while it runs, and restarted once');

offline('it runs until its next disk has been updated and tried, then starts from it', () =>
  withHypervisor(async (host) => {
    const { folder } = host;
    const port = await freePort();
    const template = await templateOf(xfsOnLvm, await agentTree());
    const options = { template, memoryMiB: 1536, edit: await filling(folder) };
    const guest = await defineGuest(host, { ...options, name: 'guest' });
    // Its /home has the UUID of that of the guest, which the guest has in use.
    const emulator = await emulatorFor(folder, 'guest-builder', port);
    await defineGuest(host, { ...options, name: 'template', emulator });
    const variables = {
      ...{ immutafs_hosts: 'guest', immutafs_update: 'offline', immutafs_builder_host: 'builder' },
      ...{ immutafs_builder_template: 'template', immutafs_builder_disks: ['vdb'] },
      ...{ immutafs_lose_state: true, immutafs_backlog_required: false, ansible_timeout: 10 },
      ...{ immutafs_start_timeout: 600, immutafs_settle_timeout: 30 },
      immutafs_state_directory: join(folder, 'state'),
      immutafs_update_commands: [['rpm', '--install', '/root/1.rpm']],
      // `prepare` has not run in the guests of the tests. `update.test.ts` has this check.
      immutafs_ready_command: ['true'],
      immutafs_health_commands: [['rpm', '--query', 'updated']],
    };
    const work = async (ansible: Ansible) => {
      await startSealed(ansible, host, guest);
      const boot = await ask(guest, 'cat /proc/sys/kernel/random/boot_id; touch /run/still');
      const playing = ansible.start('update', variables);
      const tried = () => playing.said().includes(' : Publish] *');
      await Promise.race([until('the next disk is published', tried, 900), playing.ended]);
      assert.is(await ask(guest, 'cat /proc/sys/kernel/random/boot_id'), boot, 'the guest still runs');
      assert.is.not((await guest.ssh('rpm --query updated')).exit, 0);
      const { exit, report, output } = await playing.ended;
      assert.equal([exit, report], [0, ['guest: sealed']], output);

      const disk =
        /<source file='([^']*)'/.exec(await host.virsh('dumpxml', '--inactive', 'guest'))?.[1] ?? '';
      assert.match(disk, /\/guest-\d{14}\.raw$/);
      assert.is.not(await ask(guest, 'cat /proc/sys/kernel/random/boot_id'), boot);
      assert.is(await ask(guest, 'rpm --query updated'), 'updated-1-1.noarch');
      const { exit: status, report: facts } = await statusIn(guest);
      assert.equal([status, `guest-${facts.image?.version}.raw`], [0, disk.split('/').pop()]);
      assert.ok((await readdir(guest.folder)).includes('system.raw'), 'the previous disk is kept');
    };
    await withAnsible(host, [guest], work, [{ name: 'builder', port, key: guest.key }]);
  }),
);

offline.run();
