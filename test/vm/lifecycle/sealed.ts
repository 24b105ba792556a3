import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { agentRpm } from '../harness/agent.ts';
import type { Edit } from '../harness/disk.ts';
import { ask } from '../libvirt/fixture.ts';
import type { LibvirtFixture } from '../libvirt/fixture.ts';
import { untilUp } from '../libvirt/virtual-guest.ts';
import { asVersion, isSealed, killedAt, killedWhen, stateOf, versions } from './support.ts';

/** Creates a file of a user in /home. */
export const withLetter: Edit = (root) => writeFile(join(root, 'home/alice/letter'), 'dear Bob\n');

/** The first boot: runs install.yml in an ordinary guest that has everything on one disk. */
export async function installed(fixture: LibvirtFixture): Promise<void> {
  const { ansible, host, guest } = fixture;
  await host.virsh('start', guest.name);
  await untilUp(guest, 600);
  const immutafs_prepare_arguments = [
    ...['--apply', '--yes', '--home-device', '/dev/vdb'],
    ...['--accept', 'changes'],
  ];
  const { exit, output } = await ansible.play('install', {
    immutafs_rpm: await agentRpm(),
    immutafs_prepare_arguments,
  });
  assert.is(exit, 0, output);
  await ask(guest, 'dnf --assumeyes install /root/1.rpm');
  assert.equal(
    await versions(fixture),
    asVersion('1'),
    'packages can be installed while the guest is not sealed',
  );
  await notReady(fixture);
}

/** Asserts that seal.yml does not seal a guest that is not ready. */
async function notReady({ ansible, guest }: LibvirtFixture): Promise<void> {
  await ask(guest, "cp -p /etc/fstab /root/fstab && sed -i 's/defaults,ro/defaults/' /etc/fstab");
  const { exit, report } = await ansible.play('seal');
  assert.is(exit, 2);
  assert.match(
    report.join('\n'),
    /^guest: maintenance\. FAILED: Verify that the guest can be sealed: .*Not ready to seal: fstab: /,
    report.join('\n'),
  );
  await ask(guest, 'cp -p /root/fstab /etc/fstab');
  await ask(guest, 'immutafs-agent prepare --apply --yes --only writes --accept changes');
}

/** The second boot: seal.yml is killed after it has sealed the disk, and is started again. */
export async function sealed(fixture: LibvirtFixture): Promise<void> {
  const { ansible, guest } = fixture;
  await killedWhen(fixture, 'seal', 'the disk is sealed', () => isSealed(fixture));
  assert.is(await stateOf(fixture), 'guest: shut off, sealed');
  const { exit, report, output } = await ansible.play('seal');
  assert.equal([exit, report], [0, ['guest: sealed']], output);
  assert.is(await ask(guest, 'cat /home/alice/letter; findmnt -no SOURCE /home'), 'dear Bob\n/dev/vdb1');
}

/**
 * The second boot continues: status.yml reports a disk that the next start would attach writable; --check changes
 * nothing.
 */
export async function noticed({ ansible, editDomain }: LibvirtFixture): Promise<void> {
  await editDomain('off');
  const edited = await ansible.play('status');
  assert.is(edited.exit, 2);
  assert.match(edited.output, /the disk is read-only now, but writable from the next start/, edited.output);
  await editDomain('on');
  const checked = await ansible.play('update', {}, '--check');
  assert.equal([checked.exit, checked.report], [0, ['guest: sealed']], checked.output);
  assert.match(
    checked.output,
    /TASK \[immutafs.agent.host : Set the disk writable\] \*+\nchanged: /,
    checked.output,
  );
  const good = await ansible.play('status');
  assert.equal([good.exit, good.report], [0, ['guest: sealed']], good.output);
}

/** The second boot continues: package managers fail in the sealed guest. The counterpart is the update that follows. */
export async function updatedByMistake(fixture: LibvirtFixture): Promise<void> {
  const { guest } = fixture;
  const file = '/root/repository/2.rpm';
  for (const [command, why] of [
    [`rpm --upgrade ${file}`, /THIS GUEST IS SEALED, packages cannot be changed/],
    ['rpm --erase updated', /THIS GUEST IS SEALED, packages cannot be changed/],
    ['rpm --rebuilddb', /THIS GUEST IS SEALED, packages cannot be changed/],
    ['dnf --assumeyes upgrade', /^Error: This guest is sealed, packages cannot be changed\./m],
    ['dnf --noplugins --assumeyes upgrade', /needs .* on the \/ filesystem/],
    ['dpkg --configure --pending', /^This guest is sealed, packages cannot be changed\.$/m],
    [
      `rpm --define '_rpmlock_path /run/lock/rpm' --upgrade ${file}`,
      // rpm checks the free space before it runs a scriptlet. With Berkeley DB, as in RHEL 7 and 8, it cannot even open its
      // database.
      /needs .* on the \/ filesystem|cannot open Packages database/,
    ],
  ] as const) {
    const { exit, stderr } = await guest.ssh(command);
    assert.is.not(exit, 0, command);
    assert.match(stderr, why, `${command}: ${stderr}`);
  }
  assert.equal(await versions(fixture), asVersion('1'));
}

/**
 * The end of the second boot and the third boot: update.yml is killed as it begins to check, while the guest shuts
 * down, when the disk is writable, and while the guest starts. Each run starts immediately, whatever the state of the
 * guest.
 */
export async function opened(fixture: LibvirtFixture): Promise<void> {
  await killedAt(fixture, 'update', 'Verify the guest before anything is changed');
  await killedAt(fixture, 'update', 'Wait until the guest has shut down');
  await killedWhen(fixture, 'update', 'the disk is open', async () => !(await isSealed(fixture)));
  assert.is(await stateOf(fixture), 'guest: shut off, open');
  await killedAt(fixture, 'update', 'Wait until the guest has started');
  assert.is(await stateOf(fixture), 'guest: running, open, does not answer');
}
