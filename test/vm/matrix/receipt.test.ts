import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sh, snapshotsOf, withSnapshottedGuest } from '../lifecycle/snapshotted.ts';
import type { SnapshottedGuest } from '../lifecycle/snapshotted.ts';

/**
 * Tests a good update of a real guest with the receipt that the host records. `long/receipt.test.ts` changes the disk of
 * the guest; here, the receipt is changed instead.
 */
const receipt = suite('a good update, and its receipt');

receipt(
  'no snapshot is left, the receipt matches, and what the guest reports differs from another receipt',
  () =>
    withSnapshottedGuest(async (fixture) => {
      const { ansible, guest } = fixture;
      const common = { ...fixture.common, immutafs_receipts: true };
      const good = await ansible.play('update', {
        ...common,
        immutafs_update_commands: sh('echo 2 >/etc/version'),
        immutafs_health_commands: sh('[ "$(cat /etc/version)" = 2 ]'),
      });
      assert.equal([good.exit, good.report], [0, ['guest: sealed']], good.output);
      assert.is(await snapshotsOf(guest), 0);
      assert.is((await guest.ssh('cat /etc/version')).stdout, '2');

      const verified = await ansible.play('verify', common);
      assert.is(verified.exit, 0, verified.output);
      assert.match(
        verified.output,
        /guest: unchanged; receipt of .* old, by .*@.*, not signed/,
        verified.output,
      );
      const fleet = join(guest.folder, 'fleet.json');
      const status = await ansible.play('status', { ...common, immutafs_report: fleet });
      assert.match(status.output, /"msg": "guest: receipt of /, status.output);
      const { guests } = JSON.parse(await readFile(fleet, 'utf8')) as {
        guests: { state: string; receipt: { at: string | null } | null }[];
      };
      assert.is(guests[0]?.state, 'sealed');
      assert.match(guests[0]?.receipt?.at ?? '', /^\d{4}-/, 'the fleet report has the time of the receipt');

      await changeReceipt(fixture);
      const other = await ansible.play('verify', common);
      assert.is(other.exit, 2, other.output);
      assert.match(other.output, /initramfs \/boot\/init\S* has other content/, other.output);
      assert.match(other.output, /package bash \S+ was added/, other.output);
      assert.not.match(other.output, /kernel \/boot|boot configuration|disk differs/, other.output);
    }),
);

/** Replaces the hash of the initramfs in the receipt, and removes a package from it. */
async function changeReceipt({ common, guest }: SnapshottedGuest): Promise<void> {
  const file = join(String(common['immutafs_state_directory']), guest.name, 'receipt.json');
  const content = JSON.parse(await readFile(file, 'utf8')) as {
    guest: { packages: string[]; files: Record<string, string> };
  };
  const { packages, files } = content.guest;
  const initramfs = Object.keys(files).find((path) => path.startsWith('/boot/init')) ?? '';
  content.guest.files = { ...files, [initramfs]: '0'.repeat(64) };
  content.guest.packages = packages.filter((name) => !name.startsWith('bash '));
  assert.is(packages.length - content.guest.packages.length, 1);
  await writeFile(file, JSON.stringify(content));
}

receipt.run();
