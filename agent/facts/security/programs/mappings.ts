import type { MappedFile } from '../../../system/mapped-files.ts';
import { deletedSuffix } from './layer-files.ts';

/**
 * Finds the executable mappings of files in /proc/PID/maps (proc_pid_maps(5)). Leaves out anonymous memory, [vdso] and
 * [vsyscall], whose device is 00:00.
 * @param maps one character per byte (latin1)
 * @returns each file once, and the addresses of a mapping of each file whose device has the major number 0, as in
 *   MappedFiles
 * @throws Error if a line is malformed
 */
export function findExecutableMappings(maps: string): { mapped: MappedFile[]; addresses: string } {
  const found = new Map<string, MappedFile & { range: string }>();
  for (const line of maps.split('\n')) {
    // The permission "x" is the third character after the addresses.
    if (line.charAt(line.indexOf(' ') + 3) !== 'x') continue;
    const file = parseLine(line);
    const key = `${file.device} ${file.inode} ${file.path}`;
    if (file.device !== '0:0' && !found.has(key)) found.set(key, file);
  }
  const files = [...found.values()];
  return {
    mapped: files.map(({ device, inode, path }) => ({ device, inode, path })),
    addresses: files.flatMap(({ device, range }) => (device.startsWith('0:') ? range : [])).join(' '),
  };
}

/** Returns the permissions of each mapping of a file, such as "r-xp". @throws Error if a line is malformed */
function fileMappings(maps: string, { device, inode, path }: MappedFile): string[] {
  const lines = maps.split('\n').filter((line) => line !== '');
  return lines.flatMap((line) => {
    const file = parseLine(line);
    const isSame = file.device === device && file.inode === inode && file.path === path;
    return isSame ? [line.slice(line.indexOf(' ') + 1).slice(0, 4)] : [];
  });
}

const form = /^([0-9a-f]+)-([0-9a-f]+) [^ ]{4} [0-9a-f]+ ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$/s;

function parseLine(line: string): MappedFile & { range: string } {
  const [, start = '', end = '', major = '', minor = '', inode = '', path = ''] = form.exec(line) ?? [];
  if (inode === '') throw new Error(`maps has a malformed line: ${line.slice(0, 80)}`);
  return {
    device: `${parseInt(major, 16)}:${parseInt(minor, 16)}`,
    inode: Number(inode),
    // The kernel escapes only the newline, so a backslash and 012 in a name cannot be told from it.
    path: path.replaceAll('\\012', '\n'),
    // The kernel pads the addresses in maps with zeros, but not those in the names in map_files.
    range: [start, end].map((address) => address.replace(/^0+(?=.)/, '')).join('-'),
  };
}

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
