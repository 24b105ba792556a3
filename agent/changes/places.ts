import { SystemError, errorMessage, isAbsent } from '../lib/errors.ts';
import { type Directory, openDirectory } from '../system/layers/directory.ts';
import type { XattrReader } from '../system/layers/xattrs.ts';
import type { SystemReader } from '../system/reader.ts';
import { mayHangCode } from '../facts/mounts/hang-safe.ts';
import { findAutostart } from '../facts/security/autostart.ts';
import { startPlaces } from '../facts/security/places.ts';
import { type Change, type Found, bytesOf } from './change.ts';
import { type HomeFile, type homesSince, readHomeFile } from './home-state.ts';
import type { OpenLayer } from './walk/place.ts';
import { stateOf } from './walk/compare.ts';
import type { Selection } from './selection.ts';
import { type Report, walkLayer } from './walk/walk.ts';

/**
 * Directories in /run from which systemd and udev start programs. /run is empty at boot, so each of their files is new since
 * then, although no layer contains it.
 */
export const runPlaces: readonly string[] = startPlaces
  .map(({ path }) => path)
  .filter((path) => path.startsWith('/run/'));

/** Reports every file in `runPlaces` as added. @throws the errors of walkLayer */
export async function walkRun(
  xattrs: XattrReader,
  selected: Selection,
  report: (found: Found, layer?: OpenLayer) => void | Promise<void>,
): Promise<void> {
  for (const place of runPlaces) {
    if (!selected.leadsTo(place)) continue;
    const upper = await openPlace(place, report);
    if (upper === undefined) continue;
    try {
      const layer = { target: place, upper, lower: undefined, metacopy: false };
      await walkLayer(layer, xattrs, selected, (found) => report({ ...found, layer: '/run' }, layer));
    } finally {
      upper.close();
    }
  }
}

async function openPlace(place: string, report: Report): Promise<Directory | undefined> {
  try {
    return openDirectory(place);
  } catch (error) {
    if (!isAbsent(error)) await report({ path: place, layer: '/run', error: errorMessage(error) });
    return undefined;
  }
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
  isOther: ReturnType<typeof homesSince>,
  isCompared: (path: string) => boolean,
  selected: Selection,
  report: Report,
): Promise<void> {
  for (const { home, found } of findAutostart(reader)) {
    const path = bytesOf(home);
    if (!selected.leadsTo(path) || isCompared(home) || home === '/') continue;
    const layer = 'home directories';
    if ('error' in found) {
      // A server that does not respond is no part of the guest, and `status` reports the home directory.
      if (found.code !== mayHangCode) await report({ path, layer, error: found.error });
      continue;
    }
    for (const file of found.value.files) {
      if (!selected.has(`${path}/${file}`)) continue;
      const isNew = (its: HomeFile) =>
        Number(its.entry.ctime / 1_000_000n) >= booted || isOther(home, file, its);
      const change = await homeChange(reader, home, file, layer, isNew);
      if (change !== undefined) await report(change);
    }
  }
}

async function homeChange(
  reader: SystemReader,
  home: string,
  file: string,
  layer: string,
  isNew: (its: HomeFile) => boolean,
): Promise<Change | { path: string; layer: string; error: string } | undefined> {
  const path = bytesOf(`${home}/${file}`);
  try {
    const its = await readHomeFile(reader, home, file);
    if (its === undefined || !isNew(its)) return undefined;
    return { ...stateOf(its.entry), path, layer, change: 'modified', what: [], xattrs: [], capable: false };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return isAbsent(error) ? undefined : { path, layer, error: errorMessage(error) };
  }
}
