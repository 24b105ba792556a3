import { execa } from 'execa';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sleep, until } from '../wire/support/until.ts';
import { agentTree } from './harness/agent.ts';
import type { Edit } from './harness/disk.ts';
import { xfsOnLvm } from './harness/layout.ts';
import { mountKernelFileSystems } from './harness/mounts.ts';
import { templateOf } from './harness/template.ts';
import { ask, withBed } from './libvirt/bed.ts';
import type { Bed } from './libvirt/bed.ts';
import { look } from './libvirt/package.ts';
import type { VirtualGuest } from './libvirt/virtual-guest.ts';

/**
 * The life of a sealed guest, on a real libvirt by the real playbooks: three boots. What goes wrong is joined with
 * what would be booted anyway: see each chapter.
 */
const life = suite('a sealed guest is updated');

life(
  'sealed, updated by mistake, opened, the update fails, it is killed and continued, sealed again',
  async () => {
    const template = await templateOf(xfsOnLvm, await agentTree());
    const withVersion1: Edit = async (root, mounts) => {
      await mountKernelFileSystems(mounts);
      await mounts.chroot('rpm', '--install', '--nodeps', '--noscripts', '/root/1.rpm');
      await execa('cp', [join(root, 'usr/share/updated/version'), join(root, 'var/lib/updated')]);
    };
    await withBed(template, withVersion1, async (bed) => {
      await sealed(bed);
      await updatedByMistake(bed);
      await failedUpdate(bed);
      await killedAndContinued(bed);
    });
  },
);

/** The first boot; somebody has sealed the guest by hand. Joined: what status.yml notices, and --check. */
async function sealed({ ansible, guest, click }: Bed): Promise<void> {
  await click('on');
  const { exit, report, output } = await ansible.play('seal');
  assert.equal([exit, report], [0, ['guest: sealed']], output);
  await click('off');
  const edited = await ansible.play('status');
  assert.is(edited.exit, 2);
  assert.match(edited.output, /the disk is read-only now and writable from the next start on/, edited.output);
  await click('on');
  const checked = await ansible.play('update', {}, '--check');
  assert.equal([checked.exit, checked.report], [0, ['guest: sealed']], checked.output);
  assert.match(
    checked.output,
    /TASK \[immutafs.agent.host : Set the disk writable\] \*+\nchanged: /,
    checked.output,
  );
  const good = await ansible.play('status');
  assert.equal([good.exit, good.report], [0, ['guest: sealed']], good.output);
  assert.equal(await versions(guest), asVersion('1'));
}

/** The same boot: package managers in the sealed guest; the negative twin is the update that follows. */
async function updatedByMistake({ guest }: Bed): Promise<void> {
  const why = /THIS GUEST IS SEALED, packages cannot be changed/;
  for (const command of ['--upgrade --nodeps /root/2.rpm', '--erase --nodeps updated', '--rebuilddb']) {
    const { exit, stderr } = await guest.ssh(`rpm ${command}`);
    assert.is.not(exit, 0, command);
    assert.match(stderr, why, command);
  }
  const dpkg = await guest.ssh('dpkg --configure --pending');
  assert.is.not(dpkg.exit, 0);
  assert.match(dpkg.stderr, /^This guest is sealed, packages cannot be changed\.$/m);
  const lock = "--define '_rpmlock_path /run/lock/rpm'";
  const stubborn = await guest.ssh(`rpm ${lock} --upgrade --nodeps /root/2.rpm`);
  assert.is.not(stubborn.exit, 0);
  assert.match(stubborn.stderr, /needs .* on the \/ filesystem/);
  assert.equal(await versions(guest), asVersion('1'), 'rpm asks for room before it runs a scriptlet');
}

/** The second boot, opened by update.yml. Joined: ssh breaks during the first command; the second one fails. */
async function failedUpdate({ ansible, guest }: Bed): Promise<void> {
  const everySshd = 'for p in /proc/[0-9]*; do case $(cat $p/comm) in sshd*) kill ${p#/proc/} ;; esac; done';
  const immutafs_update_commands = [
    ['sh', '-c', `systemctl stop ssh; ${everySshd}; sleep 8; systemctl start ssh; echo >/run/survived`],
    ['sh', '-c', 'echo no mirror answers; exit 3'],
  ];
  const { exit, report, output } = await ansible.play('update', { immutafs_update_commands });
  assert.is(exit, 2, output);
  const [line = '', ...more] = report;
  assert.equal(more, []);
  assert.match(line, /^guest: maintenance\. FAILED: Update: .*exit code 3\): .*no mirror answers/, line);
  await ask(guest, 'cat /run/survived && dpkg --configure --pending');
  assert.equal(await versions(guest), asVersion('1'));
}

/**
 * The same boot and the third one: the playbook is killed in the middle of the update and run again, killed when the
 * guest has shut down, and continued by seal.yml. Joined: another guest of the same batch does not come up.
 */
async function killedAndContinued({ ansible, host, guest }: Bed): Promise<void> {
  const variables = {
    immutafs_hosts: 'all:!hypervisor',
    immutafs_serial: 2,
    immutafs_update_commands: [
      [
        'sh',
        '-c',
        'echo run >>/var/lib/runs; until [ -e /run/go ]; do sleep 1; done; rpm --upgrade --nodeps /root/2.rpm',
      ],
    ],
  };
  const first = ansible.start('update', variables);
  await until('the update runs', async () => (await guest.ssh('cat /var/lib/runs')).exit === 0, 300);
  first.kill();
  await first.ended;
  const second = ansible.start('update', variables);
  const again = (): boolean => second.said().includes('TASK [immutafs.agent.guest : Update]');
  await Promise.race([until('the second run is as far', again, 300), second.ended]);
  // Nobody sees that it waits: it has time to do something else, which would be a second run of the command.
  await sleep(10_000);
  await ask(guest, 'touch /run/go');
  const off = async (): Promise<boolean> => (await host.virsh('domstate', guest.name)).includes('shut off');
  await Promise.race([until('the guest has shut down', off, 900), second.ended]);
  second.kill();
  const { output } = await second.ended;
  assert.match(
    output,
    /TASK \[immutafs.agent.guest : Rebuild the initramfs\] \*+\nchanged: \[guest\]/,
    output,
  );

  const last = await ansible.play('seal', variables);
  assert.is(last.exit, 2, last.output);
  const [one = '', other = ''] = last.report.toSorted();
  assert.is(one, 'guest: sealed', last.output);
  assert.match(other, /^hollow: running, open, does not answer\. FAILED: Wait/, other);
  assert.equal(await versions(guest), asVersion('2'));
  assert.is(await ask(guest, 'cat /var/lib/runs'), 'run', 'the second run waited for the first one’s update');
  assert.is(await ask(guest, 'find /lib/modules/*/modules.dep -newer /boot/init*'), '');
}

function asVersion(version: string): Record<keyof typeof look, string> {
  return { database: version, usr: version, var: version, verify: '' };
}

async function versions(guest: VirtualGuest): Promise<Record<string, string>> {
  const said: [string, string][] = [];
  for (const [name, text] of Object.entries(look)) said.push([name, await ask(guest, text)]);
  return Object.fromEntries(said);
}

life.run();
