import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfMount, nodeOfSource } from '../../facts/disks/block.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';
import { replaceLines } from '../engine/fstab.ts';
import type { Volume } from './inspect.ts';
import { homeOptions } from './mounting.ts';
import { probe } from './signatures.ts';

/**
 * Returns fstab(5) with the line for the new /home. The pass is 0, because XFS is not checked at boot, and a sealed
 * boot checks no file system.
 * @param text fstab, one character per byte
 */
export function withHome(text: string, { uuid, type }: Pick<Volume, 'uuid' | 'type'>): string {
  // Takes precedence over errors=panic in the superblock, which root in a sealed boot can set.
  const options = [...homeOptions, ...(/^ext[234]$/.test(type) ? ['errors=remount-ro'] : [])];
  return replaceLines(text, '/home', `UUID=${uuid} /home ${type} ${options.join(',')} 0 0`);
}

/**
 * Plans a line in fstab if the next boot does not mount the present file system on /home: after --undo, or if an
 * administrator mounted it manually. The line is added only if the command line names the file system or its disk.
 * @returns undefined if the next boot mounts the file system; without an action if the command line does not name it
 */
export async function planPersistence(
  snapshot: Snapshot,
  home: Mount,
): Promise<{ why: string; action: Action | undefined } | undefined> {
  const { reader, settings, fstab } = snapshot;
  const node = nodeOfMount(reader, home);
  if (node === undefined || isPersistent(snapshot, home)) return undefined;
  const { UUID: uuid = '', TYPE: type = home.type } = await probe(reader, `/dev/${path.basename(node)}`);
  const [line] = homeEntries(snapshot);
  const instead = line === undefined ? 'names no /home' : `names ${line.source}`;
  const why = `The next boot does not mount it on /home: /etc/fstab ${instead}.`;
  if (!isNamed(reader, node) || uuid === '') {
    const hint = 'Name it with --home-device or --home-uuid to add its line.';
    return { why: `${why} ${hint}`, action: undefined };
  }
  const after = withHome(fstab.text ?? '', { uuid, type });
  return { why, action: { do: 'edit', file: '/etc/fstab', before: fstab.text, after } };

  /** Whether the command line names the file system, by its UUID or by its disk. */
  function isNamed(reader: SystemReader, node: string): boolean {
    const { homeDevice, homeUuid = '' } = settings;
    if (homeDevice === undefined) return homeUuid.toLowerCase() === uuid.toLowerCase();
    return [node, path.dirname(node)].includes(nodeOfSource(reader, homeDevice) ?? '');
  }
}

/**
 * Whether fstab, a unit or an automounter mounts the file system on /home. If fstab names a source that cannot be
 * found, the source is assumed to be this file system.
 */
function isPersistent(snapshot: Snapshot, home: Mount): boolean {
  const lines = homeEntries(snapshot);
  if (lines.length > 0) return lines.some(({ device }) => device === undefined || device === home.device);
  const folders = ['/etc/systemd/system', '/usr/lib/systemd/system', '/usr/local/lib/systemd/system'];
  const units = folders.flatMap((folder) => [`${folder}/home.mount`, `${folder}/home.automount`]);
  return (
    units.some((unit) => snapshot.reader.stat(unit) !== undefined) ||
    snapshot.mounts.at('/home').some(({ type }) => type === 'autofs')
  );
}

function homeEntries({ fstab }: Snapshot): Snapshot['fstab']['lines'] {
  return fstab.lines.filter(({ target }) => target === '/home');
}
