import { appendFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { editDisks, imagesIn } from '../harness/disk.ts';
import type { Edit } from '../harness/disk.ts';
import { imageOf, withSnapshottedGuest } from '../lifecycle/snapshotted.ts';
import type { SnapshottedGuest } from '../lifecycle/snapshotted.ts';
import { untilUp } from '../libvirt/virtual-guest.ts';

/**
 * Tests what the receipt reveals of a real guest whose disk was changed. The counterpart is the unchanged guest in
 * `matrix/receipt.test.ts`.
 */
const receipt = suite('the receipt of a guest whose disk was changed');

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

receipt('a swapped initramfs and a new package are named', () =>
  withSnapshottedGuest(async (fixture) => {
    const { ansible, guest, host } = fixture;
    const common = { ...fixture.common, immutafs_receipts: true };
    const sealed = await ansible.play('seal', common);
    assert.equal([sealed.exit, sealed.report], [0, ['guest: sealed']], sealed.output);
    const verified = await ansible.play('verify', common);
    assert.is(verified.exit, 0, verified.output);
    assert.match(verified.output, /guest: unchanged; receipt of .* old, by /, verified.output);

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
