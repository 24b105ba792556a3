import { SystemError } from '../../../lib/errors.ts';
import { type MountTable, readMountTable } from '../../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { PlaceInStore } from '../../engine/step.ts';

/** Whether the directory of the store is mounted on its path. */
export function isKept(mounts: MountTable, { path, final }: PlaceInStore): boolean {
  const mount = mounts.serving(path);
  const store = mounts.serving(final);
  return (
    mount?.target === path &&
    mount.device === store?.device &&
    mount.root === `${store.root}/${final.slice(store.target.length)}`.replace(/\/{2,}/g, '/')
  );
}

/** @throws SystemError if the directory of the store is not mounted on its path */
export function expectKept(reader: SystemReader, place: PlaceInStore): void {
  if (isKept(readMountTable(reader), place)) return;
  throw new SystemError(`${place.final} is not mounted on ${place.path}: \`immutafs-agent status\` says why`);
}
