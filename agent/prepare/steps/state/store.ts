import { configFile } from '../../../config/config.ts';
import { persistItems } from '../../../facts/boot/kept-paths.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { unlessSystemError } from '../../../lib/errors.ts';
import { shortList } from '../../../lib/format.ts';
import type { Snapshot } from '../../engine/snapshot.ts';

const unitDirectories = ['/etc/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system'];

/**
 * Returns why no boot would keep what PERSIST names, because no boot mounts the file system of PERSIST_STORE, with what to
 * do: neither /etc/fstab nor a mount unit does. That it is mounted now says nothing about the next boot.
 * @param paths further paths that PERSIST will name
 * @returns undefined if a boot mounts it, or if PERSIST names no path
 */
export function whyNothingIsKept(look: Snapshot, paths: readonly string[] = []): string | undefined {
  const { config, reader, fstab } = look;
  const store = config.PERSIST_STORE;
  const kept = [...persistItems(config).map(({ path }) => path), ...paths];
  if (kept.length === 0) return undefined;
  const nothing = `No boot would keep ${shortList([...new Set(kept)], ', ', 5)}`;
  if (store === '')
    return `${nothing}: PERSIST_STORE is empty. Set it in ${configFile} to a directory on a data disk that the host leaves writable.`;
  const line = fstab.lines
    .filter(
      ({ target, type }) =>
        target !== '/' && target.startsWith('/') && type !== 'swap' && isBelow(store, target),
    )
    .toSorted((one, other) => one.target.length - other.target.length)
    .at(-1);
  if (line === undefined) {
    if (hasMountUnit(look, store)) return undefined;
    return `${nothing}: /etc/fstab mounts no file system for PERSIST_STORE (${store}). Add a line for ${aboveOf(store)}, on a data disk that the host leaves writable, with the options nosuid,nodev,noexec,nofail.`;
  }
  // In a guest, the program of the boot judges the mount itself (findUnkeptPaths).
  if (reader.image === undefined) return undefined;
  const where = `line ${line.line} of /etc/fstab, which mounts the file system of PERSIST_STORE on ${line.target},`;
  if (line.options.includes('ro')) return `${nothing}: ${where} has the option ro. Replace it by rw.`;
  const lacking = ['nosuid', 'nodev', 'noexec'].filter((option) => !line.options.includes(option));
  const missing = lacking.filter((option) => option !== 'noexec');
  if (missing.length > 0)
    return `${nothing}: ${where} lacks ${missing.join(' and ')}. Add ${lacking.join(',')}.`;
  if (look.systemDisks.includes(line.disks))
    return `${nothing}: ${where} is on the system disk. Put PERSIST_STORE on a data disk that the host leaves writable.`;
  return undefined;
}

/** Whether a mount unit mounts a directory at or above the store. */
function hasMountUnit({ reader }: Snapshot, store: string): boolean {
  return parents(store).some((target) =>
    unitDirectories.some(
      (each) => unlessSystemError(() => reader.stat(`${each}/${mountUnitOf(target)}`)) !== undefined,
    ),
  );
}

/** Returns a path with the directories above it, except for /. */
function parents(path: string): string[] {
  const names = path.split('/').slice(1);
  return names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`);
}

/** Returns the directory on which a data disk is usually mounted: the one at the top. */
function aboveOf(store: string): string {
  return parents(store)[0] ?? store;
}

/** Returns the name of the mount unit of a path (systemd-escape(1)). */
function mountUnitOf(path: string): string {
  const escaped = path
    .slice(1)
    .replace(/[^A-Za-z0-9:_./]|^\./g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replaceAll('/', '-');
  return `${escaped}.mount`;
}
