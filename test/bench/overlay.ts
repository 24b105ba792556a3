import { appendFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { persistOnDataDisk } from '../vm/harness/data-disk.ts';
import { emptyDevice } from '../vm/harness/empty-disk.ts';
import { editFile } from '../vm/harness/edit.ts';
import type { Result } from './run.ts';
import { leastFigure, starts } from './starts.ts';
import type { Start, Variant } from './starts.ts';
import type { Figure } from './table.ts';

/**
 * Compares the sealed boot of a guest with three paths in OVERLAY, and of a guest with three paths in PERSIST whose
 * store is filled already, with the sealed boot of the same guest without. The control of PERSIST mounts the same data
 * disk. For comparison, fstab mounts three directories of the data disk on the same paths, and a service that runs
 * before local-fs.target does nothing, which is the least that a service costs.
 *
 * One path and three paths in SCRATCH are compared with what an administrator would configure without it: a service that
 * runs cryptsetup and mkfs, and three lines of fstab.
 */
export async function overlay(): Promise<Result> {
  const control: Variant = { name: 'OVERLAY empty', disk: 'readonly', agent: true };
  const withDisk: Variant = { ...control, name: 'PERSIST empty', dataDisk: [], edit: withData('') };
  const three = (variant: Variant, name: string, more: Partial<Variant>) =>
    starts({ ...variant, name: `three paths in ${name}`, ...more });
  const without = await starts(control);
  const overlays = await three(control, 'OVERLAY', {
    edit: withThreePaths,
    proof: mounted('overlay', overlaid),
  });
  const onDisk = { proof: mounted('ext4', persisted) };
  const withoutOnDisk = await starts(withDisk);
  const kept = await three(withDisk, 'PERSIST', { edit: withData(persisted.join(' ')), ...onDisk });
  const bound = await three(withDisk, 'fstab', { edit: withBindMounts, dataDisk: persisted, ...onDisk });
  const idle = await starts({ ...withDisk, name: 'a service that does nothing', edit: withIdleService });
  const withScratch: Variant = {
    ...control,
    name: 'SCRATCH empty',
    scratchDisk: true,
    edit: withScratchPaths(0),
  };
  const withoutScratch = await starts(withScratch);
  const one = await starts({
    ...{ ...withScratch, name: 'one path in SCRATCH', edit: withScratchPaths(1) },
    proof: mounted('overlay', persisted.slice(0, 1)),
  });
  const all = await three(withScratch, 'SCRATCH', {
    edit: withScratchPaths(3),
    proof: mounted('overlay', persisted),
  });
  const usual = await three(withScratch, 'fstab, mkfs and cryptsetup', { edit: withUsualScratch, ...onDisk });
  return {
    about: 'virtual seconds from the start of the kernel and processes until then, the least of a few boots.',
    control: 'empty',
    figures: [
      ...figures('OVERLAY', without, overlays, 0.05),
      ...figures('PERSIST', withoutOnDisk, kept, 0.05),
      ...figures('bind mounts of fstab', withoutOnDisk, bound, undefined),
      ...figures('a service that does nothing', withoutOnDisk, idle, undefined),
      ...figures('one path in SCRATCH', withoutScratch, one, undefined),
      ...figures('SCRATCH', withoutScratch, all, undefined),
      ...figures('fstab, mkfs and cryptsetup', withoutScratch, usual, undefined),
      ...figures('SCRATCH, control: fstab, mkfs and cryptsetup', usual, all, 0.05),
    ],
  };
}

const metrics: { of: keyof Start; name: string; unit: 's' | '' }[] = [
  { of: 'switchRoot', name: 'to the switch of roots', unit: 's' },
  { of: 'localFs', name: 'to local-fs.target', unit: 's' },
  { of: 'localFsForks', name: 'processes by then', unit: '' },
  { of: 'multiUser', name: 'to multi-user.target', unit: 's' },
];

/** @param atMost the aim for the difference, in seconds */
function figures(name: string, base: Start[], measured: Start[], atMost: number | undefined): Figure[] {
  return metrics.map(({ of, unit, ...metric }) =>
    leastFigure(`${name}: ${metric.name}`, unit, of, measured, base, unit === '' ? undefined : atMost),
  );
}

const overlaid = ['/opt', '/opt/agent', '/root'];

async function withThreePaths(root: string): Promise<void> {
  await mkdir(join(root, 'opt/agent'), { recursive: true });
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), 'OVERLAY=/opt /opt/agent:noexec /root\n');
}

/** The usual way to keep directories on a data disk. */
async function withBindMounts(root: string): Promise<void> {
  await withData('')(root);
  const lines = persisted.map((path) => `/data${path} ${path} none bind,nosuid,nodev,noexec 0 0\n`);
  await appendFile(join(root, 'etc/fstab'), lines.join(''));
}

async function withIdleService(root: string): Promise<void> {
  await withData('')(root);
  const order = 'DefaultDependencies=no\nAfter=data.mount\nBefore=local-fs.target\n';
  const unit = `[Unit]\n${order}[Service]\nType=oneshot\nExecStart=/usr/bin/true\n`;
  const folder = join(root, 'etc/systemd/system');
  await writeFile(join(folder, 'idle.service'), unit);
  await mkdir(join(folder, 'local-fs.target.wants'), { recursive: true });
  await symlink('../idle.service', join(folder, 'local-fs.target.wants/idle.service'));
}

/** Returns a line of sh that succeeds if file systems of a type are mounted on all paths. */
function mounted(type: string, paths: readonly string[]): string {
  return paths.map((path) => `findmnt -n -t ${type} --mountpoint ${path} >/dev/null`).join(' && ');
}

const persisted = ['/srv/agent', '/var/lib/keys', '/var/lib/spool'];

function withScratchPaths(count: number): NonNullable<Variant['edit']> {
  return async (root) => {
    for (const path of persisted) await mkdir(join(root, path), { recursive: true });
    const items = persisted.slice(0, count).join(' ');
    const device = count === 0 ? '' : `SCRATCH_DEVICE=${emptyDevice}\n`;
    await appendFile(join(root, 'etc/immutafs/immutafs.conf'), `SCRATCH=${items}\n${device}`);
  };
}

/** The usual way to have directories on an encrypted disk that is emptied at every boot. */
async function withUsualScratch(root: string): Promise<void> {
  await withScratchPaths(0)(root);
  const device = String.raw`dev-disk-by\x2did-virtio\x2dempty.device`;
  const unit = [
    ...['[Unit]', 'DefaultDependencies=no', `Wants=${device}`, `After=${device} systemd-udevd.service`],
    ...['Before=local-fs.target', '[Service]', 'Type=oneshot', 'RemainAfterExit=yes'],
    `ExecStart=/usr/sbin/cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 --key-file /dev/urandom ${emptyDevice} usual`,
    'ExecStart=/usr/sbin/mkfs.ext4 -q -F -m 0 -O ^has_journal -E nodiscard,lazy_itable_init=1 /dev/mapper/usual',
    'ExecStart=/usr/bin/mount -o nosuid,nodev,noatime,noinit_itable,X-mount.mkdir /dev/mapper/usual /run/usual',
    `ExecStart=/usr/bin/mkdir ${persisted.map((_, index) => `/run/usual/${index}`).join(' ')}`,
  ];
  await writeFile(join(root, 'etc/systemd/system/usual.service'), `${unit.join('\n')}\n`);
  const options = 'bind,nosuid,nodev,noexec,x-systemd.requires=usual.service';
  const lines = persisted.map((path, index) => `/run/usual/${index} ${path} none ${options} 0 0\n`);
  await appendFile(join(root, 'etc/fstab'), lines.join(''));
}

function withData(paths: string): NonNullable<Variant['edit']> {
  return async (root) => {
    for (const path of persisted) {
      await mkdir(join(root, path), { recursive: true });
      await writeFile(join(root, path, 'file'), 'x\n');
    }
    await persistOnDataDisk(root, paths);
    // With nofail, local-fs.target would wait for the data disk only if PERSIST is on it.
    await editFile(join(root, 'etc/fstab'), (text) => text.replace('nofail,', ''));
  };
}
