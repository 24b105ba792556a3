/**
 * A live migration of a sealed guest between two hypervisors with the same storage, while it forwards numbered entries to a
 * log server. The connection to the server breaks, because QEMU's user-mode network is not migrated.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { relpWindow } from '../../../agent/forward/transport/relp.ts';
import { until } from '../../wire/support/until.ts';
import { checkOf } from '../harness/expect.ts';
import { freePort, virtioScsi } from '../libvirt/domain.ts';
import { type LibvirtFixture, ask, defineSealed, overridingEmulator, statusIn } from '../libvirt/fixture.ts';
import { forwardingTo, startRelpServer } from '../libvirt/forwarding.ts';
import { type Hypervisor, refusalOf, withHypervisor } from '../libvirt/hypervisor.ts';
import { migrationHere } from '../libvirt/migration.ts';
import { type Ansible, withAnsible } from '../libvirt/playbooks.ts';
import { type VirtualGuest, atPort } from '../libvirt/virtual-guest.ts';

const migration = suite('a live migration of a sealed guest');

interface Fixture extends Pick<LibvirtFixture, 'overrideReadOnly'> {
  source: Hypervisor;
  destination: Hypervisor;
  /** The guest on the source, sealed and connected to the log server. */
  guest: VirtualGuest;
  /** The file of the log server. */
  received: string;
  /** Migrates the guest. @returns the guest on the destination @throws if libvirt or QEMU refuses */
  migrate: (change?: Parameters<typeof migrationHere>[2], ...more: string[]) => Promise<VirtualGuest>;
  /** Calls `work` with the playbooks of the destination. */
  onDestination: (moved: VirtualGuest, work: (ansible: Ansible) => Promise<void>) => Promise<void>;
}

/** Calls `work` with a guest whose system disk is `vda` or, on virtio-scsi, `sda`. */
async function withGuest(
  targets: [string, string],
  work: (fixture: Fixture) => Promise<void>,
): Promise<void> {
  await withHypervisor((source) =>
    withHypervisor(async (destination) => {
      const { folder } = source;
      const port = await freePort();
      const { emulator, overrideReadOnly } = await overridingEmulator(folder);
      const devices = targets[0] === 'sda' ? virtioScsi : '';
      const edit = forwardingTo(port);
      const stop = await startRelpServer(folder, port);
      try {
        const guest = await defineSealed(source, { targets, devices, emulator, edit, reachesHost: true });
        await until('the guest forwards', async () => (await stateOf(guest)).forward === 'connected', 120);
        await work({
          ...{ source, destination, guest, overrideReadOnly, received: join(folder, 'received') },
          migrate: async (change, ...more) => {
            const here = await migrationHere(source, guest.name, change);
            const options = ['--live', '--persistent', '--undefinesource', ...here.options, ...more];
            await source.virsh('migrate', guest.name, destination.uri, ...options);
            return atPort(guest, here.port);
          },
          onDestination: (moved, play) => withAnsible(destination, [moved], play),
        });
      } finally {
        stop();
      }
    }),
  );
}

/** Returns what must not change. */
async function stateOf(guest: VirtualGuest): Promise<Record<string, unknown>> {
  const { exit, report } = await statusIn(guest);
  const { verdict, mode, enforcement, checks, forward } = report;
  const passed = checks.filter(({ status }) => status === 'pass').map(({ id }) => id);
  return { exit, verdict, mode, enforcement, passed, forward: forward?.state };
}

const sealed = { exit: 0, verdict: 'sealed', mode: 'sealed', enforcement: 'host' };

/** Whether QEMU has the system disk read-only. */
async function qemuReadOnly({ virsh }: Hypervisor): Promise<boolean | undefined> {
  const said = await virsh('qemu-monitor-command', 'guest', '{"execute":"query-block"}');
  const { return: devices } = JSON.parse(said) as { return: { inserted?: { ro: boolean; file: string } }[] };
  return devices.find(({ inserted }) => inserted?.file.includes('system'))?.inserted?.ro;
}

/** The disk under /, by the name that the guest has for it. */
async function systemDisk(guest: VirtualGuest): Promise<string> {
  const { disks } = (await statusIn(guest)).report;
  return disks.find(({ holds }) => holds.includes('/'))?.name ?? '';
}

/** Root removes the kernel's flag and writes the first sector of a disk once more. @returns the exit code */
const overwrite = async (guest: VirtualGuest, disk: string) =>
  (
    await guest.ssh(`blockdev --setrw /dev/${disk}
      dd if=/dev/${disk} of=/dev/${disk} bs=512 count=1 oflag=direct; result=$?
      blockdev --setro /dev/${disk}; exit $result`)
  ).exit;

/** Numbered entries, until the unit is stopped. */
const load = `systemd-run --unit=load sh -c 'while :; do i=$((i + 1)); echo "load $i"; sleep 0.05; done'`;

const numbersIn = (text: string) => [...text.matchAll(/load (\d+)$/gm)].map(([, number]) => Number(number));

migration('the guest stays sealed and nothing is lost; a destination with a writable disk is refused', () =>
  withGuest(['vda', 'vdb'], async ({ source, destination, guest, migrate, onDestination, ...rest }) => {
    const { overrideReadOnly, received } = rest;
    const before = await stateOf(guest);
    assert.equal({ ...before, ...sealed }, before);
    await ask(guest, load);

    const withoutReadOnly = (xml: string) => xml.replace(/ *<readonly\/>\n/, '');
    assert.match(
      await refusalOf(migrate({ live: withoutReadOnly })),
      /Target disk access mode does not match source/,
    );
    await overrideReadOnly(true);
    assert.match(await refusalOf(migrate()), /load of migration failed: Operation not permitted/);
    await overrideReadOnly(false);
    const log = readFileSync(join(destination.folder, 'var/log/libvirt/qemu/guest.log'), 'utf8');
    assert.match(log, /Features 0x[0-9a-f]+ unsupported/);
    assert.match(log, /virtio-blk/);
    assert.equal(await stateOf(guest), before, 'after two refusals, the guest runs on the source');

    const moving = migrate({}, '--bandwidth', '8');
    await until('the migration', async () => /Unbounded/.test(await source.virsh('domjobinfo', 'guest')), 60);
    assert.equal(await stateOf(guest), before, 'during the migration');
    assert.match(await source.virsh('domjobinfo', 'guest'), /Unbounded/, 'it is still running');
    await source.virsh('migrate-setspeed', 'guest', '10000');
    const moved = await moving;
    assert.is(await qemuReadOnly(destination), true);
    await until('the forwarder is connected', async () => (await stateOf(moved)).forward === 'connected', 60);
    assert.equal(await stateOf(moved), before, 'on the destination');
    assert.is.not(await overwrite(moved, 'vda'), 0);

    // A time server sets the clock after a long interruption.
    await ask(moved, "date -s '+90 seconds' && immutafs-agent check");
    const { exit: later, report: jumped } = await statusIn(moved);
    assert.is(later, 0);
    assert.match(checkOf(jumped, 'kernel-view').observed, /the clock was set forward by 90 s/);

    await ask(moved, 'systemctl stop load; logger the end');
    await until('the end', () => /the end$/m.test(readFileSync(received, 'latin1')), 60);
    const written = numbersIn(await ask(moved, 'journalctl -u load -o cat'));
    const stored = numbersIn(readFileSync(received, 'latin1'));
    assert.ok(written.length > 100, `${written.length} entries`);
    assert.equal(
      [...new Set(stored)].toSorted((a, b) => a - b),
      written,
      'nothing is lost',
    );
    assert.ok(stored.length - written.length <= relpWindow, `${stored.length - written.length} twice`);

    await ask(moved, 'echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vdb of=/dev/null bs=1M count=64');
    await onDestination(moved, async (ansible) => {
      const { exit, report, output } = await ansible.play('status');
      assert.equal([exit, report], [0, ['guest: sealed']], output);
    });
  }),
);

migration(
  'virtio-scsi: QEMU accepts a writable destination, which the host notices and the guest does not',
  () =>
    withGuest(['sda', 'sdb'], async ({ destination, guest, migrate, onDestination, ...rest }) => {
      const before = await stateOf(guest);
      assert.equal({ ...before, ...sealed }, before);
      await rest.overrideReadOnly(true);
      const moved = await migrate({ nextStart: (xml) => xml.replace(/ *<readonly\/>\n/, '') });
      assert.is(await qemuReadOnly(destination), false);
      const after = await stateOf(moved);
      assert.equal({ ...after, ...sealed }, after);
      await onDestination(moved, async (ansible) => {
        const { exit, output } = await ansible.play('status', { immutafs_disk: 'sda' });
        assert.is(exit, 2, output);
        assert.match(output, /libvirt reports the disk as read-only, QEMU as writable/);
        assert.match(output, /the disk is read-only now, but writable from the next start/);
      });
      const disk = await systemDisk(moved);
      assert.is.not(await overwrite(moved, disk), 0, 'the kernel still knows the disk as read-only');
      await ask(moved, `echo 1 >/sys/block/${disk}/device/rescan`);
      assert.is(await overwrite(moved, disk), 0);
      const rescanned = await statusIn(moved);
      assert.is(rescanned.exit, 1);
      assert.is(checkOf(rescanned.report, 'host-enforced').status, 'fail');
    }),
);

migration.run();
