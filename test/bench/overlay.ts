import { appendFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { persistOnDataDisk } from '../vm/harness/data-disk.ts';
import { editFile } from '../vm/harness/edit.ts';
import type { Result } from './run.ts';
import { starts } from './starts.ts';
import type { Start, Variant } from './starts.ts';
import type { Figure } from './table.ts';

/**
 * Compares the sealed boot of a guest with three paths in OVERLAY, and of a guest with three paths in PERSIST whose
 * store is filled already, with the sealed boot of the same guest without. The control of PERSIST mounts the same data
 * disk. For comparison, fstab mounts three directories of the data disk on the same paths, and a service that runs
 * before local-fs.target does nothing, which is the least that a service costs.
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
  return {
    about: 'virtual seconds from the start of the kernel and processes until then, the least of a few boots.',
    control: 'empty',
    figures: [
      ...figures('OVERLAY', without, overlays, 0.05),
      ...figures('PERSIST', withoutOnDisk, kept, 0.05),
      ...figures('bind mounts of fstab', withoutOnDisk, bound, undefined),
      ...figures('a service that does nothing', withoutOnDisk, idle, undefined),
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
  const least = (all: Start[], of: keyof Start) => Math.min(...all.map((start) => start[of]));
  return metrics.map(({ of, unit, ...metric }) => ({
    ...{ name: `${name}: ${metric.name}`, unit, control: least(base, of), value: least(measured, of) },
    spread: Math.max(...measured.map((start) => start[of])) - least(measured, of),
    ...(atMost === undefined || unit === '' ? {} : { aim: { of: 'difference' as const, atMost } }),
  }));
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
