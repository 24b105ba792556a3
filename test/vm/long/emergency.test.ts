/**
 * Ways into a guest that does not let its administrator in (docs/emergency.md), as somebody at the console sees them, and
 * what each permits on a sealed disk.
 */
import { appendFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import { type Console, bootWithConsole } from '../harness/console.ts';
import type { Edit } from '../harness/disk.ts';
import { treeWithPackages } from '../harness/packages.ts';
import { type Guest, assertSealed, editFile, look, statusOf, withAgent } from '../harness/scenario.ts';

const ways = suite('ways in');

const password = 'correct horse battery';

/** Gives root a password, as `virt-customize --root-password` does. */
async function givePassword(root: string): Promise<void> {
  const { stdout: hash } = await execa('openssl', ['passwd', '-6', password]);
  await editFile(join(root, 'etc/shadow'), (text) => text.replace(/^root:[^:]*:/m, `root:${hash}:`));
}

/** Debian's tree has no password of root; it must be locked for a counterpart. */
const lock: Edit = (root) =>
  editFile(join(root, 'etc/shadow'), (text) => text.replace(/^root:[^:]*:/m, 'root:!locked:'));

/** The emergency shells of the distribution, in place of the script by which guests report an emergency. */
async function restoreShells(root: string): Promise<void> {
  for (const unit of ['emergency', 'dracut-emergency'])
    await rm(join(root, `etc/systemd/system/${unit}.service.d/vmtest.conf`), { force: true });
}

async function force(root: string): Promise<void> {
  const folder = join(root, 'etc/systemd/system/emergency.service.d');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'force.conf'), '[Service]\nEnvironment=SYSTEMD_SULOGIN_FORCE=1\n');
}

/** A data disk that is not attached, and whose line has no `nofail`. */
const missingDisk: Edit = async (root) => {
  await appendFile(
    join(root, 'etc/fstab'),
    '/dev/disk/by-id/virtio-absent /data ext4 x-systemd.device-timeout=5s 0 2\n',
  );
  await mkdir(join(root, 'data'));
};

/** What nobody can do from the console of a sealed guest, although they are root. */
async function assertDiskRefuses({ run }: Console): Promise<void> {
  assert.is(await run('touch /etc/planted'), 1);
  assert.is.not(await run('mount -o remount,rw / && touch /etc/planted'), 0);
  assert.is.not(await run('echo root:other | chpasswd'), 0);
}

ways('a login at the console, with the password that the disk had when it was sealed, and no other', () =>
  withConsole({ edit: both(givePassword, withGetty) }, async (guest) => {
    const boot = await bootWithConsole(
      guest,
      { disk: 'readonly', allUnits: true, steps: { wait: until('/run/left'), ...look } },
      async (console) => {
        const { shows, type, run } = console;
        await shows(/login: /);
        type('root');
        await shows(/Password: /);
        type('wrong');
        await shows(/Login incorrect[^]*login: /);
        await logIn(console);
        await assertDiskRefuses(console);
        assert.is(await run('touch /var/saved'), 0);
        // What an emergency needs without a network: the logs, in a place from which the console can show them.
        assert.is(await run('journalctl --boot --output=export >/var/tmp/journal.export'), 0);
        type('touch /run/left; exit');
      },
    );
    assert.is(boot.step('wait').exit, 0);
    assertSealed(boot);
  }),
);

ways('the emergency mode of systemd asks for the password of root, and the disk stays sealed', () =>
  withAgent({ edit: both(givePassword, restoreShells, missingDisk) }, async (guest) => {
    const boot = await bootWithConsole(guest, { disk: 'readonly' }, async (console) => {
      const { shows, type, run } = console;
      await shows(/Enter root password/);
      type(password);
      await shows(/# /);
      await assertDiskRefuses(console);
      assert.is(await run('immutafs-agent status >/dev/null'), 1);
      type('systemctl poweroff --force --force');
    });
    assert.is(boot.endedBy, 'poweroff');
  }),
);

ways(
  'the emergency mode opens no shell if root is locked, and one without a password if the disk says so',
  async () => {
    await withAgent({ edit: both(lock, restoreShells, missingDisk) }, async (guest) => {
      const powerCutAt = { after: /root account is locked/, milliseconds: 2000 };
      const boot = await guest.boot({ disk: 'readonly', powerCutAt });
      assert.is(boot.endedBy, 'power-cut');
      assert.not.match(boot.console.replace(/^[^]*in emergency mode/, ''), /# |password/);
    });
    await withAgent({ edit: both(lock, restoreShells, missingDisk, force) }, async (guest) => {
      const boot = await bootWithConsole(guest, { disk: 'readonly' }, async (console) => {
        // sulogin offers to start the shell at once.
        await console.shows(/Press Enter/);
        console.type('');
        await console.shows(/# /);
        await assertDiskRefuses(console);
        console.type('systemctl poweroff --force --force');
      });
      assert.is(boot.endedBy, 'poweroff');
    });
  },
);

ways(
  'rd.break: dracut opens no shell if root is locked; one that it is made to open cannot write to the sealed disk',
  () =>
    withAgent({ edit: restoreShells }, async (guest) => {
      const made = await guest.boot({
        disk: 'writable',
        limitSeconds: 900,
        steps: {
          plain: "sed -i 's/^install_items.*//' /etc/dracut.conf.d/vmtest.conf",
          dracut: 'dracut --force --quiet',
        },
      });
      assert.is(made.step('dracut').exit, 0, made.step('dracut').stderr);
      const bootFiles = await guest.bootFilesOnDisk();
      const options = { disk: 'readonly', bootFiles, steps: look } as const;
      const locked = await bootWithConsole(
        guest,
        { ...options, arguments: ['rd.break=pre-pivot'] },
        async ({ shows, type }) => {
          await shows(/root account is locked[^]*Press Enter to continue/);
          type('');
        },
      );
      assertSealed(locked);
      const forced = await bootWithConsole(
        guest,
        { ...options, arguments: ['rd.break=pre-pivot', 'SYSTEMD_SULOGIN_FORCE=1'] },
        async ({ shows, type, run }) => {
          await shows(/Press Enter/);
          type('');
          await shows(/# /);
          assert.is.not(await run('touch /sysroot/etc/planted'), 0);
          assert.is.not(await run('mount -o remount,rw /sysroot && touch /sysroot/etc/planted'), 0);
          type('exit');
        },
      );
      assertSealed(forced);
    }),
);

ways(
  'immutafs=off on an open disk: writable as in maintenance, and status says that nothing is verified',
  () =>
    withAgent({}, async (guest) => {
      const steps = { ...look, write: 'touch /etc/mark /var/mark' };
      const open = await guest.boot({ disk: 'writable', arguments: ['immutafs=off'], steps });
      const { exit, report } = statusOf(open);
      assert.equal([exit, report.verdict, report.mode], [4, 'off', 'off']);
      assert.is(open.step('write').exit, 0);
      const after = await guest.boot({
        disk: 'readonly',
        steps: { kept: 'ls /etc/mark /var/mark', ...look },
      });
      assert.is(after.step('kept').stdout, '/etc/mark\n/var/mark\n');
      assertSealed(after);
    }),
);

ways.run();

function both(...edits: Edit[]): Edit {
  return async (...root) => {
    for (const edit of edits) await edit(...root);
  };
}

/** A guest with login(1), which the tree of the tests does not have. */
async function withConsole(options: { edit: Edit }, work: (guest: Guest) => Promise<void>): Promise<void> {
  const tree = await treeWithPackages('console-tree', await agentTree(), ['login']);
  await withAgent({ ...options, tree }, work);
}

/** Enables a getty on the serial port. The tree of the tests masks it, and leaves out the events for its device. */
async function withGetty(root: string): Promise<void> {
  const units = join(root, 'etc/systemd/system');
  for (const file of ['serial-getty@ttyS0.service', 'systemd-udev-trigger.service.d/vmtest.conf'])
    await rm(join(units, file));
  await symlink(
    '/usr/lib/systemd/system/serial-getty@.service',
    join(units, 'getty.target.wants/serial-getty@ttyS0.service'),
  );
}

function until(file: string): string {
  return `for second in $(seq 300); do [ ! -e ${file} ] || exit 0; sleep 1; done; exit 1`;
}

async function logIn({ shows, type }: Console): Promise<void> {
  type('root');
  await shows(/Password: /);
  type(password);
  await shows(/# /);
}
