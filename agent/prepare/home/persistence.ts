import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfMount, nodeOfSource } from '../../facts/disks/block.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import type { Look } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';
import { withHome } from './fstab-line.ts';
import { probe } from './signatures.ts';

/**
 * What is mounted on /home now and would not be at the next boot: after --undo, which takes its line out of fstab, or
 * where somebody mounted it by hand. It gets a line only if it was asked for by name.
 * @returns undefined where it comes again; without an action, where it was not asked for
 */
export async function planNextBoot(
  look: Look,
  home: Mount,
): Promise<{ why: string; action: Action | undefined } | undefined> {
  const { reader, settings, fstab } = look;
  const node = nodeOfMount(reader, home);
  if (node === undefined || comesAgain(look, home)) return undefined;
  const { UUID: uuid = '', TYPE: type = home.type } = await probe(reader, `/dev/${path.basename(node)}`);
  const [line] = homeEntries(look);
  const instead = line === undefined ? 'names no /home' : `names ${line.source}`;
  const why = `At the next boot it would not be /home: /etc/fstab ${instead}.`;
  if (!isAsked(reader, node) || uuid === '') {
    const hint = 'Name it by --home-device or --home-uuid, and it gets a line there.';
    return { why: `${why} ${hint}`, action: undefined };
  }
  const after = withHome(fstab.text ?? '', { uuid, type });
  return { why, action: { do: 'edit', file: '/etc/fstab', before: fstab.text, after } };

  /** By the file system, or by its disk. */
  function isAsked(reader: SystemReader, node: string): boolean {
    const { homeDevice, homeUuid = '' } = settings;
    if (homeDevice === undefined) return homeUuid.toLowerCase() === uuid.toLowerCase();
    return [node, path.dirname(node)].includes(nodeOfSource(reader, homeDevice) ?? '');
  }
}

/** By fstab, by a unit of the administrator's or by an automounter. A source that cannot be found may be it. */
function comesAgain(look: Look, home: Mount): boolean {
  const lines = homeEntries(look);
  if (lines.length > 0) return lines.some(({ device }) => device === undefined || device === home.device);
  const folders = ['/etc/systemd/system', '/usr/lib/systemd/system', '/usr/local/lib/systemd/system'];
  const units = folders.flatMap((folder) => [`${folder}/home.mount`, `${folder}/home.automount`]);
  return (
    units.some((unit) => look.reader.stat(unit) !== undefined) ||
    look.mounts.at('/home').some(({ type }) => type === 'autofs')
  );
}

function homeEntries({ fstab }: Look): Look['fstab']['lines'] {
  return fstab.lines.filter(({ target }) => target === '/home');
}
