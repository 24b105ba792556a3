import { unlessSystemError } from '../../../lib/errors.ts';
import { decodeBytes } from '../../../lib/format.ts';
import { parseSwaps } from '../../../facts/disks/swaps.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { readActionLog } from '../../engine/action-log.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { type OpenFile, openForWriting } from '../open-files.ts';
import type { Accepted } from '../../../config/accepted.ts';
import { isOnDisk, searchAreaOf } from './area.ts';
import { type Grouped, groupChanges } from './group.ts';
import { isKeytabRenewed, keytab } from './keytab-renewal.ts';
import { ownPeriods } from './own-changes.ts';
import { noPackages, readPackages } from '../packages.ts';
import { type Change, type SearchArea, searchChanges } from './search.ts';

/** The maximum number of changes that are examined one by one, which bounds the memory. */
const mostChanges = 50_000;

export interface Inspection extends Grouped {
  /** The reasons why the result is incomplete, each with the solution. */
  problems: string[];
  notes: string[];
}

/** Finds what was changed since a point in time, and who changed it. @param since seconds since the epoch */
export async function inspectWrites(look: Snapshot, since: number, accepted: Accepted): Promise<Inspection> {
  const { reader, mounts, settings } = look;
  const area = searchAreaOf(look);
  const changes: Change[] = [];
  let further = 0;
  // find returns mount points, too, whose status is that of another file system.
  const roots = new Set(area.roots.map(asBytes));
  const mountPoints = new Set(mounts.all.map(({ target }) => asBytes(target)));
  const incomplete = await searchChanges(
    reader,
    area,
    since,
    (change) => {
      if (mountPoints.has(change.path) && !roots.has(change.path)) return;
      if (changes.length < mostChanges) changes.push(change);
      else further += 1;
    },
    (folder) => settings.progress(`Searching ${folder} for changes`),
  );
  const openFiles = openOnDisk(look, area);
  const swapFiles = swapFilesOf(look);
  for (const path of swapFiles) if (isSearched(look, area, path)) openFiles.push(kernelSwap(path));
  const paths = new Set([...changes, ...openFiles].map(({ path }) => path));
  const packages =
    paths.size === 0
      ? noPackages
      : await readPackages(reader, paths, () => settings.progress('Reading the package database'));
  const grouped = groupChanges(changes, {
    packages: typeof packages === 'string' ? noPackages : packages,
    own: ownPeriods(unlessSystemError(() => readActionLog(reader)) ?? []),
    ...{ accepted, openFiles, swapFiles },
    predicted: isKeytabRenewed(reader) ? [keytab] : [],
  });
  return { ...grouped, problems: problemsOf(incomplete, further), notes: notesOf(packages) };
}

function problemsOf(incomplete: string | undefined, further: number): string[] {
  return [
    ...(incomplete === undefined
      ? []
      : [
          `The search for changes is incomplete: ${incomplete}. Check the disk (dmesg), and run prepare again.`,
        ]),
    ...(further === 0
      ? []
      : [
          `${further} further changes were not examined: reboot while the disk is writable, or use a shorter --since, and run prepare again.`,
        ]),
  ];
}

function notesOf(packages: unknown): string[] {
  return typeof packages === 'string'
    ? [`Updates cannot be recognised and count as changes: ${packages}.`]
    : [];
}

/** Returns the files of the searched file systems that processes have open for writing. */
function openOnDisk(look: Snapshot, area: SearchArea): OpenFile[] {
  const folders = look.reader.list('/').map((name) => `/${asBytes(name)}`);
  return openForWriting(look.reader, folders).filter(({ path }) => isSearched(look, area, path));
}

function isSearched({ mounts, systemDisks }: Snapshot, area: SearchArea, path: string): boolean {
  if (area.excluded.some((folder) => isBelow(path, folder))) return false;
  return isOnDisk(mounts.serving(decodeBytes(path)), systemDisks);
}

/** Encodes a name as the other paths here, one character per byte (latin1). */
function asBytes(name: string): string {
  return Buffer.from(name).toString('latin1');
}

function swapFilesOf({ reader }: Snapshot): Set<string> {
  const text = reader.readIfPresent('/proc/swaps', 1024 * 1024) ?? '';
  const swaps = text === '' ? [] : parseSwaps(text);
  return new Set(swaps.filter(({ type }) => type === 'file').map(({ source }) => source));
}

function kernelSwap(path: string): OpenFile {
  return { path, bytes: 0, who: ['the kernel (swap)'], pids: [] };
}
