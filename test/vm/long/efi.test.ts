import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootOrder, filePath, hardDrive, loadOption, variable } from '../../harness/efi.ts';
import { agentTree } from '../harness/agent.ts';
import { kernelArguments } from '../harness/arguments.ts';
import { copyDisks } from '../harness/disk.ts';
import { appendEsp, efiArguments, efiBootFiles, withEfiVariables } from '../harness/efi.ts';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { withGuest } from '../harness/guest.ts';
import type { BootOptions, Guest } from '../harness/guest.ts';
import { withCopy } from '../harness/impostor.ts';
import type { Drive } from '../harness/qemu.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { assertSealed, checkOf, ext4OnPartition, look, statusOf, withoutAgent } from '../harness/scenario.ts';
import { templateOf } from '../harness/template.ts';

const efi = suite('EFI variables that root in a sealed guest wrote');

const efivars = '/sys/firmware/efi/efivars';
const swap = '1f5a0000-0000-4000-8000-00000000beef';
const espUuids = {
  genuine: '0f5a0000-0000-4000-8000-000000000001',
  planted: '0f5a0000-0000-4000-8000-000000000002',
};
const layout = ext4OnPartition;

/** systemd accepts a location only with the ID of the system that reads it. */
const location = JSON.stringify({ uuid: swap, offset: 0, osReleaseId: 'dracut' });
const systemd = '8cf2644b-4b0b-428f-9387-6d876050dc67';
const global = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const text = (value: string): Buffer => Buffer.from(`${value}\0`, 'utf16le');
const variables = (espNumber: number): Record<string, Buffer> => ({
  [`SystemdOptions-${systemd}`]: Buffer.from('systemd.mask=ssh.service', 'utf16le'),
  [`HibernateLocation-${systemd}`]: text(location),
  [`Boot0099-${global}`]: loadOption('planted', [
    hardDrive({ gpt: espUuids.planted, number: espNumber }),
    filePath('\\EFI\\BOOT\\BOOTX64.EFI'),
  ]),
  [`BootOrder-${global}`]: bootOrder(0x99),
});
/** The firmware protects no variable, so a new BootOrder replaces the existing one. */
const plant = `
  set -e
  mkswap --quiet --uuid ${swap} ${emptyDevice}
  mountpoint -q ${efivars} || mount -t efivarfs efivarfs ${efivars}
  cd "$BOX"
  for name in *-*-*-*-*-*; do
    chattr -i ${efivars}/$name 2>/dev/null || true
    cat $name >${efivars}/$name
  done`;

const steps = {
  masked: 'systemctl show --property=LoadState --value ssh.service',
  resumed: 'journalctl --boot --output=cat --identifier=systemd-hibernate-resume | grep ^Reported',
};
/** Removes the tmpfs with which the initramfs hides the variables. */
const unhidden = `
  umount ${efivars}
  mountpoint -q ${efivars} || mount -t efivarfs efivarfs ${efivars}
  immutafs-agent status --json`;
const attempt = /^Reported hibernation image: ID=dracut UUID=1f5a0000-0000-4000-8000-00000000beef /;

/** Calls `work` with a guest whose disk has a boot loader, and with a bootable writable copy of the disk. */
async function withBootableDisks(
  work: (guest: Guest, copy: Drive, planted: Record<string, string>) => Promise<void>,
): Promise<void> {
  const template = await templateOf(layout, await agentTree());
  const bootFiles = efiBootFiles(template.bootFiles);
  const words = [...kernelArguments(layout), ...efiArguments];
  await withCopy({ layout, format: 'raw' }, (copy) =>
    withRunFolder(async (folder) => {
      const disks = await copyDisks(template.disks, folder);
      await appendEsp(disks.images.system, espUuids.genuine, bootFiles, words);
      const evil = [...words, 'root=/dev/disk/by-id/virtio-copy-part2', 'immutafs=off'];
      const number = await appendEsp(copy.file, espUuids.planted, bootFiles, evil);
      const files: Record<string, string> = {};
      for (const [name, data] of Object.entries(variables(number))) {
        files[name] = join(folder, name);
        await writeFile(join(folder, name), variable(data), 'latin1');
      }
      await withGuest({ template: { ...template, disks, bootFiles } }, (guest) => work(guest, copy, files));
    }),
  );
}

efi(
  'SystemdOptions, HibernateLocation and BootOrder have no effect in the next boot, and are reported; without the agent and the settings of the host, they have',
  () =>
    withEmptyDisk(64, (empty) =>
      withEfiVariables(async (efiVariables) => {
        const options: BootOptions = {
          ...{ disk: 'readonly', allUnits: true, efiVariables, arguments: efiArguments, limitSeconds: 600 },
          steps: { ...steps, ...look, planted: 'ls /etc/planted', env: 'cat /run/immutafs/boot.env' },
        };
        const withVariables = { ...options, steps: { ...options.steps, unhidden } };
        await withBootableDisks(async (guest, copy, files) => {
          const drives = [copy, empty];
          const first = await guest.boot({ ...options, drives, files, steps: { plant, ...steps } });
          assert.is(first.step('plant').exit, 0, first.step('plant').stderr);
          assert.is(first.step('masked').stdout, 'loaded\n');

          const next = await guest.boot({ ...withVariables, drives });
          assert.is(next.step('masked').stdout, 'loaded\n');
          assert.is(next.step('resumed').stdout, '');
          assert.match(next.step('env').stdout, /^WARNING=the EFI variable SystemdOptions is set, /m);
          const { report } = statusOf(next);
          assert.is(report.mode, 'sealed');
          assert.match(checkOf(report, 'boot-inputs').observed, 'SystemdOptions');
          const { observed } = checkOf(statusOf(next, 'unhidden').report, 'boot-inputs');
          for (const name of ['SystemdOptions', 'HibernateLocation', 'Boot0099'])
            assert.match(observed, name);

          // Before the next boot, in which systemd-hibernate-clear.service deletes HibernateLocation.
          await withoutAgent({ layout }, async (plain) => {
            const bootFiles = efiBootFiles(plain.bootFiles);
            const counterpart = await plain.boot({ ...options, bootFiles, drives: [empty], steps });
            assert.is(counterpart.step('masked').stdout, 'masked\n');
            assert.match(counterpart.step('resumed').stdout, attempt);
          });

          const taken = await guest.boot({ ...options, drives, bootOrder: 'variables' });
          assert.match(taken.console, /PLANTED/);
          assert.is(taken.step('planted').stdout, '/etc/planted\n');

          await withEfiVariables(async (anew) => {
            const cured = await guest.boot({
              ...options,
              ...{ drives, efiVariables: anew, bootOrder: 'system disk' },
            });
            assert.not.match(cured.console, /PLANTED/);
            assert.is(cured.step('planted').stdout, '');
            assertSealed(cured);
          });
        });
      }),
    ),
);

efi.run();
