import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import type { Edit } from '../harness/disk.ts';
import { dnfTree } from '../harness/dnf.ts';
import { filling } from '../libvirt/fixture.ts';
import { look } from '../libvirt/package.ts';
import { contentOf, sh, snapshotsOf, withSnapshottedGuest } from '../lifecycle/snapshotted.ts';
import type { SnapshottedGuest } from '../lifecycle/snapshotted.ts';
import { killedWhen } from '../lifecycle/support.ts';
import type { Played, Playing } from '../libvirt/playbooks.ts';

/**
 * Tests that a real guest ends sealed in its old state, byte for byte, if its update fails, wherever the playbook is
 * killed. The counterpart is the good update in `matrix/receipt.test.ts`.
 */
const rollback = suite('an update that fails is undone');

type Moment = (playing: Playing) => boolean | Promise<boolean>;

/** The moment at which a playbook begins a task. */
const begins =
  (task: string): Moment =>
  ({ said }) =>
    said().includes(` : ${task}] *`);

/** Runs update.yml and kills it at a moment. */
const killedAt = (fixture: SnapshottedGuest, isThere: Moment, variables: Record<string, unknown>) =>
  killedWhen(fixture, 'update', 'the moment to kill update', isThere, { ...fixture.common, ...variables });

/** Installs version 1 of a package in the guest, with a repository that has version 2. */
async function withPackages(folder: string): Promise<Edit> {
  const fill = await filling(folder);
  return async (root, mounts) => {
    await fill(root, mounts);
    await mounts.chroot('rpm', '--install', '/root/1.rpm');
  };
}

async function assertRolledBack(
  { guest }: SnapshottedGuest,
  before: string,
  { exit, report, output }: Played,
  why: RegExp,
): Promise<void> {
  assert.is(exit, 2, output);
  assert.equal([await contentOf(guest), await snapshotsOf(guest)], [before, 0], output);
  // On a busy machine, a probe of the report may need too much time. The rollback itself has required a sealed guest.
  assert.match(report.join('\n').replace(/^guest: sealed, unknown: [^;]*/, 'guest: sealed'), why, output);
}

rollback(
  'an update that breaks a check, the boot, and a service in the sealed guest; killed in between',
  () =>
    withSnapshottedGuest(async (fixture) => {
      const before = await contentOf(fixture.guest);
      // Each update begins with the guest that the rollback of the last one has sealed.
      await failingCheck(fixture, before);
      await failingBoot(fixture, before);
      await failingHealth(fixture, before);
    }),
);

/** A check fails. The playbook is killed before the guest is opened, then twice more. */
async function failingCheck(fixture: SnapshottedGuest, before: string): Promise<void> {
  const { ansible, guest, common } = fixture;
  const variables = { immutafs_update_commands: sh("sed -i 's/ ro / defaults /' /etc/fstab") };
  await killedAt(fixture, async () => (await snapshotsOf(guest)) === 1, variables);
  assert.is(await contentOf(guest), before, 'the guest has not been opened');
  await killedAt(fixture, begins('Wait until the guest has started'), variables);
  await killedAt(fixture, begins('Restore the snapshot'), variables);
  const last = await ansible.play('update', { ...common, ...variables });
  const why = /^guest: sealed; rolled back: Verify that the guest can be sealed: .*fstab/;
  await assertRolledBack(fixture, before, last, why);
}

/** The boot fails, after the playbook was killed in maintenance mode. The next run continues the rollback. */
async function failingBoot(fixture: SnapshottedGuest, before: string): Promise<void> {
  const { ansible, common } = fixture;
  await killedAt(fixture, begins('Run the health commands'), {
    immutafs_update_commands: sh('rm /boot/immutafs.cfg'),
    immutafs_health_commands: [['true']],
  });
  // The same limit ends the wait for the restored guest, so that the next run has to continue the rollback.
  const short = { immutafs_start_timeout: 20, immutafs_shutdown_timeout: 60, ansible_timeout: 5 };
  const variables = { ...common, ...short, immutafs_update_commands: sh('true') };
  const broken = await ansible.play('update', variables);
  assert.match(
    broken.report.join('\n'),
    /FAILED: Wait until the guest has started: .* The rollback failed: Wait until the guest has started/,
    broken.output,
  );
  const next = { ...common, immutafs_update_commands: sh('touch /etc/never') };
  const last = await ansible.play('update', next);
  const why = /^guest: sealed; rolled back: Wait until the guest has started: /;
  await assertRolledBack(fixture, before, last, why);
}

/** A health command fails once the guest is sealed. */
async function failingHealth(fixture: SnapshottedGuest, before: string): Promise<void> {
  const last = await fixture.ansible.play('update', {
    ...fixture.common,
    immutafs_update_commands: sh('touch /etc/broken'),
    immutafs_health_commands: sh('[ ! -e /etc/broken ] || [ -w /etc ]'),
  });
  const why = /^guest: sealed; rolled back: Run the health commands: .*sh ended with 1/;
  await assertRolledBack(fixture, before, last, why);
}

/** Leaves 1 MiB free, and then fills even this with a file that does not grow any further. */
const fillDisk =
  'set -- $(stat -f -c "%a %S" /) && fallocate -l $(($1 * $2 - 1048576)) /full && ! dd if=/dev/zero of=/rest bs=4k';

rollback('an update for which the disk of the guest is too small', () =>
  withSnapshottedGuest(
    async (fixture) => {
      const before = await contentOf(fixture.guest);
      const upgrade = ['dnf', '--assumeyes', 'upgrade'];
      const last = await fixture.ansible.play('update', {
        ...fixture.common,
        immutafs_update_commands: [...sh(fillDisk), upgrade],
      });
      const why = /^guest: sealed; rolled back: Update: .*dnf .*(No space left on device|filesystem)/;
      await assertRolledBack(fixture, before, last, why);
      // The counterpart: with free space, the same package is updated. It changes the modules, so that the initramfs
      // is rebuilt.
      const common = Object.entries(fixture.common).filter(([name]) => name !== 'immutafs_initramfs_command');
      const next = await fixture.ansible.play('update', {
        ...Object.fromEntries(common),
        immutafs_update_commands: [upgrade],
      });
      assert.equal([next.exit, next.report], [0, ['guest: sealed']], next.output);
      assert.is((await fixture.guest.ssh(look.usr)).stdout, '2');
    },
    { tree: dnfTree(agentTree()), edit: withPackages },
  ),
);

rollback.run();
