import { appendFile, mkdir, writeFile } from 'node:fs/promises';
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
 * disk. For comparison, fstab mounts three directories of the data disk on the same paths.
 */
export async function overlay(): Promise<Result> {
  const control: Variant = { name: 'OVERLAY empty', disk: 'readonly', agent: true };
  const withDisk: Variant = { ...control, name: 'PERSIST empty', dataDisk: [] };
  const figures = [
    ...(await compare('OVERLAY', control, { edit: withThreePaths, proof: mounted('overlay', overlaid) })),
    ...(await compare(
      'PERSIST',
      { ...withDisk, edit: withData('') },
      { edit: withData(persisted.join(' ')), proof: mounted('ext4', persisted) },
    )),
    ...(await compare(
      'bind mounts of fstab',
      { ...withDisk, edit: withData('') },
      { edit: withBindMounts, dataDisk: persisted, proof: mounted('ext4', persisted) },
    )),
  ];
  return {
    about: 'virtual seconds from the start of the kernel and processes until then, the least of a few boots.',
    control: 'empty',
    figures,
  };
}

const metrics: { of: keyof Start; name: string; unit: 's' | ''; atMost?: number }[] = [
  { of: 'switchRoot', name: 'to the switch of roots', unit: 's', atMost: 0.05 },
  { of: 'localFs', name: 'to local-fs.target', unit: 's', atMost: 0.05 },
  { of: 'localFsForks', name: 'processes by then', unit: '' },
  { of: 'multiUser', name: 'to multi-user.target', unit: 's', atMost: 0.05 },
];

async function compare(name: string, control: Variant, three: Partial<Variant>): Promise<Figure[]> {
  const base = await starts(control);
  const measured = await starts({ ...control, ...three, name: `three paths in ${name}` });
  const least = (all: Start[], of: keyof Start) => Math.min(...all.map((start) => start[of]));
  return metrics.map(({ of, unit, atMost, ...metric }) => ({
    ...{ name: `${name}: ${metric.name}`, unit, control: least(base, of), value: least(measured, of) },
    spread: Math.max(...measured.map((start) => start[of])) - least(measured, of),
    ...(atMost === undefined ? {} : { aim: { of: 'difference' as const, atMost } }),
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

/** Returns a line of sh that succeeds if file systems of a type are mounted on all paths. */
function mounted(type: string, paths: readonly string[]): string {
  return paths.map((path) => `findmnt -n -t ${type} --mountpoint ${path} >/dev/null`).join(' && ');
}

const persisted = ['/opt/agent', '/var/lib/keys', '/var/lib/spool'];

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
