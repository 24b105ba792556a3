import type { MappedFile } from '../../../system/mapped-files.ts';
import { fileMappings } from './executable-mappings.ts';
import { deletedSuffix } from './layer-files.ts';

/** The items of FOREIGN_PROGRAMS_ALLOW that permit closures begin with this. */
export const closurePrefix = 'closure:';

/** The names that libffi gives to the file: by mkostemp(3), and by the kernel for open(2) with O_TMPFILE. */
const named = /\/ffi[A-Za-z0-9]{6}$/;
const unnamed = /\/#(\d+)$/;

/** Whether a mapped file has a name as that of libffi's memory for closures. */
export function hasClosureName({ path, inode }: MappedFile): boolean {
  if (!path.endsWith(deletedSuffix)) return false;
  const name = path.slice(0, -deletedSuffix.length);
  return named.test(name) || unnamed.exec(name)?.[1] === `${inode}`;
}

/**
 * Whether a mapped file is the memory in which libffi keeps closures (dlmmap() in src/closures.c): functions that
 * it creates while a program runs, for callbacks into an interpreter. SELinux denies memory that is writable and
 * executable, so libffi maps an unlinked file twice, shared: once executable and once writable. From version 3.4 on, it
 * prefers a memfd. A library, which the dynamic linker maps, is private.
 * @param maps /proc/PID/maps of the process
 */
export function isClosureMemory(file: MappedFile, maps: string): boolean {
  if (!hasClosureName(file)) return false;
  const permissions = fileMappings(maps, file);
  return (
    permissions.includes('r-xs') &&
    permissions.includes('rw-s') &&
    permissions.every((each) => each === 'r-xs' || each === 'rw-s')
  );
}
