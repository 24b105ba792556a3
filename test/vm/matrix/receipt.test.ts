import { appendFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { editDisks, imagesIn } from '../harness/disk.ts';
import type { Edit } from '../harness/disk.ts';
import { contentOf, imageOf, sh, snapshotsOf, withSnapshottedGuest } from '../lifecycle/snapshotted.ts';
import type { SnapshottedGuest } from '../lifecycle/snapshotted.ts';
import { untilUp } from '../libvirt/virtual-guest.ts';

/** Tests a good update of a real guest with the receipt that the host records, and what the receipt reveals afterwards. */
const receipt = suite('a good update, and its receipt');

/** Changes the system disk while the guest is shut off. */
async function tamper({ guest, disks }: SnapshottedGuest, edit: Edit): Promise<void> {
  const images = imagesIn(guest.folder);
  const convert = ['convert', '-f', 'qcow2', '-O', 'raw', imageOf(guest), images.system];
  await execa('qemu-img', convert);
  const system = disks.placements.filter(({ disk }) => disk === 'system');
  await editDisks({ images, placements: system }, edit);
  await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', images.system, imageOf(guest)]);
}

/** Replaces the initramfs with one that still boots, and adds a package. */
const swapped: Edit = async (root) => {
  const initramfs = (await readdir(join(root, 'boot'))).find((name) => name.startsWith('init')) ?? '';
  const path = join(root, 'boot', initramfs);
  const content = await readFile(path);
  await execa('rm', [path]);
  await writeFile(path, content);
  await appendFile(path, Buffer.alloc(512));
  const stanza =
    'Package: backdoor\nStatus: install ok installed\nMaintainer: a\nArchitecture: all\nVersion: 1\n';
  await appendFile(join(root, 'var/lib/dpkg/status'), `\n${stanza}Description: a package\n`);
};

receipt('no snapshot is left, the receipt matches, and a swapped initramfs and a new package are named', () =>
  withSnapshottedGuest(async (fixture) => {
    const { ansible, guest, host } = fixture;
    const common = { ...fixture.common, immutafs_receipts: true };
    const before = await contentOf(guest);
    const good = await ansible.play('update', {
      ...common,
      immutafs_update_commands: sh('echo 2 >/etc/version'),
      immutafs_health_commands: sh('[ "$(cat /etc/version)" = 2 ]'),
    });
    assert.equal([good.exit, good.report], [0, ['guest: sealed']], good.output);
    assert.is(await snapshotsOf(guest), 0);
    assert.is((await guest.ssh('cat /etc/version')).stdout, '2');
    assert.is.not(await contentOf(guest), before);

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

    await guest.ssh('systemctl --no-block poweroff');
    await execa('sh', [
      '-c',
      'for each in $(seq 600); do case $("$@") in *"shut off"*) exit ;; esac; sleep 1; done; exit 1',
      ...['sh', '/usr/bin/virsh', '--connect', host.uri, 'domstate', guest.name],
    ]);
    await tamper(fixture, swapped);
    const off = await ansible.play('verify', common);
    assert.is(off.exit, 2, off.output);
    assert.match(off.output, /guest: the disk differs in bytes \d+-\d+ \(partition 1\)?/, off.output);

    await host.virsh('start', guest.name);
    await untilUp(guest, 900);
    const running = await ansible.play('verify', common);
    assert.is(running.exit, 2, running.output);
    assert.match(running.output, /initramfs \/boot\/init\S* has other content/, running.output);
    assert.match(running.output, /package backdoor 1\.all was added/, running.output);
    assert.not.match(running.output, /kernel \/boot|boot configuration/, running.output);
  }),
);

receipt.run();
