import * as assert from 'uvu/assert';
import { sleep, until } from '../../wire/support/until.ts';
import { ask } from '../libvirt/fixture.ts';
import type { LibvirtFixture } from '../libvirt/fixture.ts';
import { asVersion, killedAt, killedWhen, stateOf, versions } from './support.ts';

const everySshd = 'for p in /proc/[0-9]*; do case $(cat $p/comm) in sshd*) kill ${p#/proc/} ;; esac; done';

const stopEverySession =
  'for p in /proc/[0-9]*; do case $(cat $p/comm) in sshd-session*) kill -STOP ${p#/proc/} ;; esac; done';

/** The third boot continues: ssh breaks during the first command of update.yml, and the second command fails. */
export async function failedUpdate(fixture: LibvirtFixture): Promise<void> {
  const immutafs_update_commands = [
    ['sh', '-c', `systemctl stop ssh; ${everySshd}; sleep 8; systemctl start ssh; echo >/run/survived`],
    ['sh', '-c', 'echo no mirror answers; exit 3'],
  ];
  const { exit, report, output } = await fixture.ansible.play('update', { immutafs_update_commands });
  assert.is(exit, 2, output);
  const [line = '', ...more] = report;
  assert.equal(more, []);
  assert.match(line, /^guest: maintenance\. FAILED: Update: .*exit code 3\): .*no mirror answers/, line);
  await ask(fixture.guest, 'cat /run/survived && dpkg --configure --pending');
  assert.equal(await versions(fixture), asVersion('1'));
}

/**
 * The third boot continues: update.yml is killed while dnf updates, as it begins to rebuild the initramfs, and as it
 * checks whether the guest can be sealed.
 */
export async function updated(fixture: LibvirtFixture): Promise<void> {
  const { guest } = fixture;
  await ask(guest, 'touch /run/hold');
  const within = async (): Promise<boolean> => (await guest.ssh('cat /var/cache/updated')).stdout === '2';
  await killedWhen(fixture, 'update', 'the package’s scriptlet runs', within);
  assert.is(await stateOf(fixture), 'guest: maintenance');
  const other = await fixture.ansible.play('update', { immutafs_update_commands: [['true']] });
  assert.is(other.exit, 2, other.output);
  assert.match(
    other.report.join('\n'),
    /immutafs-update-0-[0-9a-f]{16}\.service is still running another command/,
  );

  const again = fixture.ansible.start('update');
  const asFar = (): boolean => again.said().includes('TASK [immutafs.agent.guest : Update]');
  await Promise.race([until('the second run is as far', asFar, 300), again.ended]);
  // If the playbook started the command a second time, it would do so in these 20 s. Meanwhile the playbook's ssh
  // connection stops answering, which the playbook has to detect.
  await ask(guest, `(sleep 3; ${stopEverySession}) >/dev/null 2>&1 &`);
  await sleep(20_000);
  await ask(guest, 'rm /run/hold');
  const rebuilds = (): boolean =>
    again.said().includes(' : Rebuild the initramfs of each kernel that has newer modules] *');
  await Promise.race([until('the initramfs is rebuilt', rebuilds, 300), again.ended]);
  again.kill();
  await again.ended;
  const runs = await ask(
    guest,
    `journalctl --unit='immutafs-update-0-*' --output=cat | grep -c '^Upgraded:'`,
  );
  assert.is(runs, '1', 'the second run waited for the first one’s dnf');

  await killedAt(fixture, 'update', 'Verify that the guest can be sealed');
  assert.is(await ask(guest, 'find /lib/modules/*/modules.dep -newer /boot/init*'), '');
  assert.equal(await versions(fixture), asVersion('2'));
}

/**
 * The fourth boot: libvirt has sealed the disk, but QEMU attaches the disk writable, so the guest is in maintenance
 * mode.
 */
export async function writableAfterSeal({ ansible, overrideReadOnly }: LibvirtFixture): Promise<void> {
  await overrideReadOnly(true);
  const { exit, report, output } = await ansible.play('update');
  await overrideReadOnly(false);
  assert.is(exit, 2, output);
  const why = 'libvirt reports the disk as read-only, QEMU as writable';
  assert.equal(report, [
    `guest: maintenance; BUT ${why}. FAILED: Compare the claims of the guest with the host: ${why}`,
  ]);
}

/**
 * The fifth boot: seal.yml is killed while the guest shuts down, before and during its start, and before `status` of
 * the guest is read. In the last run, a second guest of the same batch does not come up.
 */
export async function sealedAgain(fixture: LibvirtFixture): Promise<void> {
  const { ansible, guest } = fixture;
  await killedAt(fixture, 'seal', 'Wait until the guest has shut down');
  await killedAt(fixture, 'seal', 'Start the guest');
  assert.is(await stateOf(fixture), 'guest: shut off, sealed');
  await killedAt(fixture, 'seal', 'Wait until the guest has started');
  assert.is(await stateOf(fixture), 'guest: running, sealed, does not answer');
  await killedAt(fixture, 'seal', 'Query the status of the sealed guest');

  const both = { immutafs_hosts: 'all:!hypervisor', immutafs_serial: 2 };
  const last = await ansible.play('seal', both);
  assert.is(last.exit, 2, last.output);
  const [one = '', other = ''] = last.report.toSorted();
  assert.is(one, 'guest: sealed', last.output);
  assert.match(other, /^stub: running, open, does not answer\. FAILED: Wait/, other);
  assert.equal(await versions(fixture), asVersion('2'));
  assert.is(await ask(guest, 'cat /home/alice/letter'), 'dear Bob');
}
