import type { MappedFile } from '../../../system/mapped-files.ts';

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
