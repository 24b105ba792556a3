import { SystemError, errorMessage, isAbsent } from '../lib/errors.ts';
import { hangSafe, mayHangCode } from '../facts/mounts/hang-safe.ts';
import type { MountTable } from '../facts/mounts/mountinfo.ts';
import { findAutostart } from '../facts/security/autostart.ts';
import { sha256Of } from '../system/layers/content.ts';
import { type Directory, type Entry, openDirectory } from '../system/layers/directory.ts';
import type { SystemReader } from '../system/reader.ts';
import { type FileState, makeTreeState, parseTreeState } from '../system/tree.ts';
import { type Report, type Selection, bytesOf } from './change.ts';
import { closing, inParent, withFile } from './walk/place.ts';

const layer = 'home directories';

/** A start-up file in a home directory, with its content. */
interface HomeFile {
  entry: Entry;
  /** SHA-256; empty unless it is a regular file. */
  sha256: string;
}

/** The size up to which a file is read, in bytes, and that of all files in the record of a boot. */
const largest = 1024 * 1024;
const largestRecord = 64 * largest;

/** Content decides, so the times and the inode are left out: root can set the clock, and thereby every time of a file. */
const anyTime: FileState = { inode: 0n, size: 0n, modified: 0n, changed: 0n };

function keyOf(home: string, device: string, file: string, { entry, sha256 }: HomeFile): string {
  const { type, mode, uid, gid } = entry;
  return JSON.stringify([home, device, file, type, mode, uid, gid, sha256]);
}

/** Another file system at the same path, such as one that is mounted at a login, has not been read. */
function homeKey(home: string, device: string): string {
  return JSON.stringify([home, device]);
}

/**
 * Reads a start-up file in a home directory without following links of its owner.
 * @returns undefined if it does not exist
 * @throws SystemError, also if the file is too large to be read
 */
async function readHomeFile(reader: SystemReader, home: string, file: string): Promise<HomeFile | undefined> {
  const read = async (parent: Directory, name: string): Promise<HomeFile | undefined> => {
    const entry = parent.stat(name);
    if (entry?.type !== 'file') return entry && { entry, sha256: '' };
    if (entry.size > largest) throw new SystemError('larger than 1 MiB, so its content is not compared');
    return { entry, sha256: await withFile(parent, name, sha256Of) };
  };
  return closing(openDirectory(reader.resolve(home)), (directory) => inParent(directory, file, read));
}

/** Records the start-up files of all home directories. A home directory that cannot be read is left out. */
export async function recordHomes(system: SystemReader, mounts: MountTable): Promise<string> {
  const reader = hangSafe(system, mounts);
  const state = makeTreeState();
  let bytes = 0;
  for (const { home, found } of findAutostart(reader)) {
    const device = mounts.serving(home)?.device ?? '';
    if (!('value' in found) || bytes > largestRecord) continue;
    state.add(homeKey(home, device), anyTime);
    for (const file of found.value.files) {
      try {
        const its = await readHomeFile(reader, home, file);
        if (its === undefined) continue;
        bytes += its.entry.size;
        state.add(keyOf(home, device, file, its), anyTime);
      } catch (error) {
        // `changes` reports the same error for this file.
        if (!(error instanceof SystemError)) throw new Error(errorMessage(error), { cause: error });
      }
    }
  }
  return state.done().text();
}

/** Returns a function that decides whether a file differs from the record; false for a home that was not recorded. */
export function homesSince(
  record: string | undefined,
  mounts: MountTable,
): (home: string, file: string, found: HomeFile) => boolean {
  if (record === undefined) return () => false;
  const state = parseTreeState(record);
  return (home, file, found) => {
    const device = mounts.serving(home)?.device ?? '';
    return state.has(homeKey(home, device), anyTime) && !state.has(keyOf(home, device, file, found), anyTime);
  };
}

/**
 * Reports the files in home directories that run programs at a login or permit a login, if they changed since boot. Home
 * directories are on disks that persist, so the layers do not show changes. A file changed if it differs from the record
 * that the first check of this boot made, or if its ctime is later than the boot. The ctime alone does not decide, because
 * root can set the clock before a change. Files of the sealed disk have an earlier ctime.
 * @param reader does not access file systems that may hang (facts/mounts/hang-safe.ts)
 * @param booted the time of boot, in milliseconds since the epoch
 * @param isOther whether a file differs from the record
 * @param isCompared whether a path is in a layer that is compared anyway
 */
export async function walkHomes(
  reader: SystemReader,
  booted: number,
  isOther: (home: string, file: string, found: HomeFile) => boolean,
  isCompared: (path: string) => boolean,
  selected: Selection,
  report: Report,
): Promise<void> {
  for (const { home, found } of findAutostart(reader)) {
    const path = bytesOf(home);
    if (!selected.leadsTo(path) || isCompared(home) || home === '/') continue;
    if ('error' in found) {
      // A server that does not respond is no part of the guest, and `status` reports the home directory.
      if (found.code !== mayHangCode) await report({ path, layer, error: found.error });
      continue;
    }
    for (const file of found.value.files) {
      if (!selected.has(`${path}/${file}`)) continue;
      const changed = bytesOf(`${home}/${file}`);
      let its;
      try {
        its = await readHomeFile(reader, home, file);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        if (!isAbsent(error)) await report({ path: changed, layer, error: errorMessage(error) });
      }
      if (its === undefined) continue;
      const { entry } = its;
      if (Number(entry.ctime / 1_000_000n) < booted && !isOther(home, file, its)) continue;
      // An error of the receiver, such as a full disk, is not one of the file.
      await report({
        ...{ ...entry, path: changed, layer, change: 'modified', what: [], xattrs: [], capable: false },
      });
    }
  }
}
