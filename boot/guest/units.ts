/** What systemd mounts by itself: by a unit, or by a line of fstab. */
import { unlessSystemError } from '../../agent/lib/errors.ts';
import { type BootReader, isRegular } from '../native/reader.ts';
import type { FstabLine } from './fstab.ts';

/** Whether a unit file masks the unit: a link to /dev/null, or empty (systemd.unit(5)). */
export function isMasked(reader: BootReader, file: string): boolean {
  const status = reader.status(file);
  if (isRegular(status) && status?.size === 0) return true;
  return status !== undefined && unlessSystemError(() => reader.resolve(file)) === '/dev/null';
}

/**
 * Returns how /var is mounted: `own` (not mounted, a directory of the root), `device` (by a line of fstab), or `other`, by the
 * file. A unit in /etc takes precedence over fstab (systemd).
 * @param root where the root is mounted; empty for /
 */
export function howVarIsMounted(
  reader: BootReader,
  fstab: readonly FstabLine[],
  root = '',
): { by: 'own' | 'device' } | { by: 'other'; file: string } {
  const unit = '/etc/systemd/system/var.mount';
  if (reader.stat(`${root}${unit}`) !== undefined)
    return isMasked(reader, `${root}${unit}`) ? { by: 'own' } : { by: 'other', file: unit };
  const lines = fstab.filter(({ target }) => target === '/var');
  if (lines.length === 0) return { by: 'own' };
  return lines.some(({ isDevice }) => isDevice) ? { by: 'device' } : { by: 'other', file: '/etc/fstab' };
}

/** Returns the mount unit, other than those of fstab, that mounts a file system on a path. */
export function mountUnitOf(reader: BootReader, root: string, path: string): string | undefined {
  const unit = `${escapePath(path)}.mount`;
  const file = `${root}/etc/systemd/system/${unit}`;
  if (reader.stat(file) !== undefined) return isMasked(reader, file) ? undefined : unit;
  const isWanted = ['/usr/lib/systemd/system', '/etc/systemd/system'].some((folder) =>
    isLink(reader.stat(`${root}${folder}/local-fs.target.wants/${unit}`)),
  );
  return isWanted ? unit : undefined;
}

/** @param mode st_mode of lstat(2) */
export function isLink(mode: unknown): boolean {
  return typeof mode === 'number' && (mode & 0o170000) === 0o120000;
}

/** Returns a path in the form of a unit name (systemd-escape(1) --path). @param path absolute, one character per byte */
export function escapePath(path: string): string {
  const plain = path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .join('/');
  if (plain === '') return '-';
  return plain
    .replace(/[^\w:./]|^\./g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replaceAll('/', '-');
}
