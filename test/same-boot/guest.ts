import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { inRoot } from '../../packaging/build/paths.ts';
import { agentTree } from '../vm/harness/agent.ts';
import { makeHostKey, makeSeed, seedFiles } from '../vm/harness/cloud-init.ts';
import { persistOnDataDisk, withDataDisk } from '../vm/harness/data-disk.ts';
import { copyDisks, editDisks } from '../vm/harness/disk.ts';
import { efiArguments, efiBootFiles, newEfiVariables } from '../vm/harness/efi.ts';
import { type Boot, type BootOptions, type Guest, withGuest } from '../vm/harness/guest.ts';
import { withInitramfs } from '../vm/harness/initramfs.ts';
import { type Layout, ext4OnLvm, ext4OnPartition, layout } from '../vm/harness/layout.ts';
import { labelFiles } from '../vm/harness/mounts.ts';
import type { Drive } from '../vm/harness/qemu.ts';
import { withRunFolder } from '../vm/harness/run-folder.ts';
import { configure, editFile, enforcing } from '../vm/harness/scenario.ts';
import { configureScratch, markDisk, uuid } from '../vm/harness/scratch.ts';
import { type Template, templateOf } from '../vm/harness/template.ts';
import { readDevices } from './devices.ts';
import type { Twin } from './twins.ts';

/** The UUID that `resume=` names on the kernel command line. */
export const resumeUuid = '1f5a0000-0000-4000-8000-00000000cafe';

/** The device that `resume=` names is the attacker's. A busy machine needs longer than 90 s for a device. */
const kernelWords = [`resume=UUID=${resumeUuid}`, 'systemd.default_device_timeout_sec=300'];

/** Directories whose content is data by declaration: root in a sealed guest may change it for the next boots. */
export const dataDirectories = ['/home', '/data', '/var/lib/kept', '/var/lib/app'];
export const persisted = ['/var/lib/kept', '/var/lib/app'];
export const scratchPaths = ['/var/cache/app', '/srv/store'];

/** A guest to attack: its disks, its kernel arguments, and whether UEFI starts it. */
interface Kind {
  layout: Layout;
  words: readonly string[];
  firmware: 'BIOS' | 'UEFI';
}

/** The guests to attack. Each has PERSIST, SCRATCH, SEED=host, /home and MOUNT_OPTIONS=strict. */
export const kinds: Readonly<Record<'lvm' | 'uefi' | 'enforcing', Kind>> = {
  lvm: { layout: ext4OnLvm, words: [], firmware: 'BIOS' },
  uefi: { layout: ext4OnPartition, words: efiArguments, firmware: 'UEFI' },
  enforcing: { layout: ext4OnLvm, words: enforcing, firmware: 'BIOS' },
};

/** The loss of /home does not end the boot, so that the boot can be compared. */
function withOptionalHome(chosen: Layout): Layout {
  if (!chosen.home) throw new Error('the layout has no disk with /home');
  const options = `${chosen.home.options},nofail,x-systemd.device-timeout=180s`;
  return layout({ ...chosen, home: { ...chosen.home, options } });
}

/**
 * Boots a guest whose disks are as new at the first boot, and then have what earlier boots wrote. `devices` is what QEMU tells
 * of them after the step `fingerprint`.
 */
export type BootGuest = (options: Partial<BootOptions>) => Promise<Boot & { devices: [string, string][] }>;

/**
 * Calls its argument with a new guest.
 *
 * @param data whether the data disks have their data, or are empty
 */
export type OpenGuest = <T>(
  data: 'intact' | 'lost',
  use: (boot: BootGuest, guest: Guest) => Promise<T>,
) => Promise<T>;

/** Calls `work` with guests that lack the protection of a twin, if there is one. */
export async function withGuests<T>(
  kind: Kind,
  twin: Twin | undefined,
  work: (open: OpenGuest) => Promise<T>,
): Promise<T> {
  return withRunFolder((folder) =>
    withDataDisk(async (data) => {
      const template = await makeTemplate(kind, twin, folder);
      const [scratch, spare] = [
        await emptyDisk(folder, 'scratch', 200),
        await emptyDisk(folder, 'spare', 1800),
      ];
      const lost = [
        await emptyDisk(folder, 'data', 200),
        await emptyDisk(folder, 'scratch-lost', 200),
        spare,
      ];
      await markDisk(scratch);
      if (twin?.hasSwap === true) await execa('mkswap', ['--quiet', '--uuid', resumeUuid, spare.file]);
      const readOnly = [await makeSeedDrive(folder), await makeTools(folder)];
      return work((state, use) => {
        const writable =
          state === 'intact'
            ? [data, scratch, spare]
            : lost.map((each) => ({ ...each, serial: each.serial.replace('-lost', '') }));
        const damage = state === 'intact' ? undefined : { '/home': 'wipefs --quiet --all "$1"' };
        return withGuest({ template, damage }, (guest) =>
          withRunFolder(async (own) => {
            const drives = [...(await Promise.all(writable.map((each) => layer(each, own)))), ...readOnly];
            const monitor = join(own, 'monitor');
            const firmware =
              kind.firmware === 'UEFI' ? { efiVariables: await newEfiVariables(own) } : undefined;
            const boot: BootGuest = async (options) => {
              let devices: ReturnType<typeof readDevices> = Promise.resolve([]);
              const call = () => {
                devices = readDevices(monitor);
                // The error is thrown below, when the boot has ended.
                devices.catch(() => undefined);
              };
              const done = await guest.boot({
                ...{ disk: 'readonly', drives, uuid, monitor, limitSeconds: 700, ...firmware, ...options },
                afterStep: { name: 'fingerprint', call },
                arguments: [...kernelWords, ...kind.words],
              });
              return { ...done, devices: await devices };
            };
            return use(boot, guest);
          }),
        );
      });
    }),
  );
}

async function makeTemplate(kind: Kind, twin: Twin | undefined, folder: string): Promise<Template> {
  const template = await templateOf(withOptionalHome(kind.layout), await agentTree());
  const disks = await copyDisks(template.disks, folder);
  await editDisks(disks, async (root, mounts) => {
    await persistOnDataDisk(root, [...persisted, ...(twin?.persist ?? [])].join(' '));
    await editFile(join(root, 'etc/fstab'), (text) =>
      text.replace('device-timeout=60s', 'device-timeout=180s'),
    );
    for (const path of persisted) await mkdir(join(root, path), { recursive: true });
    await configureScratch(
      root,
      `${scratchPaths[0]} ${scratchPaths[1]}:empty`,
      '/dev/disk/by-id/virtio-scratch',
    );
    await configure('SEED=host\nSEED_TIMEOUT=300\nMOUNT_OPTIONS=strict\n')(root);
    // The package waits 30 s for the disk of SCRATCH, which is too short on a busy machine.
    const dropins = join(root, 'etc/systemd/system', 'dev-disk-by\\x2did-virtio\\x2dscratch.device.d');
    await mkdir(dropins);
    await writeFile(join(dropins, 'zz-busy.conf'), '[Unit]\nJobTimeoutSec=600\n');
    await labelFiles(mounts, '/');
  });
  const bootFiles = kind.firmware === 'UEFI' ? efiBootFiles(template.bootFiles) : template.bootFiles;
  if (twin?.initramfs === undefined) return { ...template, disks, bootFiles };
  const initramfs = join(folder, 'initramfs');
  await withInitramfs(twin.initramfs, (changed) => copyFile(changed.initramfs, initramfs));
  return { ...template, disks, bootFiles: { ...bootFiles, initramfs } };
}

async function emptyDisk(folder: string, serial: string, sizeMiB: number): Promise<Drive> {
  const file = join(folder, serial);
  await execa('truncate', ['--size', `${sizeMiB}M`, file]);
  return { serial, file, format: 'raw', readOnly: false, bus: 'virtio-blk' };
}

async function layer(drive: Drive, folder: string): Promise<Drive> {
  const file = join(folder, `${drive.serial}.qcow2`);
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', drive.file, '-F', 'raw', file]);
  return { ...drive, file, format: 'qcow2' };
}

async function makeSeedDrive(folder: string): Promise<Drive> {
  const files = seedFiles('web1', await makeHostKey(folder, 'web1'), { cloudInit: false });
  const file = await makeSeed(folder, 'seed', files);
  return { serial: 'seed', file, format: 'raw', readOnly: true, bus: 'scsi-cd' };
}

/** Programs of the guest's release, with their libraries, that the disk with the tools has. */
const copied = ['usr/bin/systemctl', 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2'];

/**
 * Makes the read-only disk with the programs that read and attack the guest, so that neither uses a file that the attack
 * can replace: the collector, busybox, and systemctl with its libraries.
 */
async function makeTools(folder: string): Promise<Drive> {
  const [tools, file] = [join(folder, 'tools'), join(folder, 'tools.ext4')];
  await mkdir(tools);
  await execa('gcc', ['-O2', '-static', '-o', join(tools, 'collect'), inRoot('test/same-boot/collect.c')]);
  await copyFile('/usr/bin/busybox', join(tools, 'busybox'));
  const root = join(await agentTree(), 'root');
  const { stdout } = await execa('chroot', [root, 'ldd', '/usr/bin/systemctl']);
  const libraries = [...stdout.matchAll(/=> (\/\S+)/g)].map(([, path = '']) => path);
  for (const path of [...copied, ...libraries]) await execa('cp', ['-L', join(root, path), tools]);
  // With SELinux, root may run them.
  const names = (await readdir(tools)).map((name) => join(tools, name));
  await execa('setfattr', ['-n', 'security.selinux', '-v', 'system_u:object_r:bin_t:s0', tools, ...names]);
  await execa('truncate', ['--size', '24M', file]);
  await execa('mkfs.ext4', ['-q', '-O', '^has_journal', '-d', tools, file]);
  return { serial: 'tools', file, format: 'raw', readOnly: true, bus: 'virtio-blk' };
}

/** Lines of sh that mount the tools. The guest's own sh and mount run them; everything after that is from the host. */
export const mountTools =
  '[ -e /media/busybox ] || mount -o ro /dev/disk/by-id/virtio-tools /media && cd /media || exit 99\n';
