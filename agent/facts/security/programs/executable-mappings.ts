/** A file of which a process has mapped a part as executable. */
export interface MappedFile {
  /** "major:minor" of the file system that contains the file. */
  device: string;
  inode: number;
  /** The path as the kernel shows it, one character per byte (latin1). A deleted file ends with ` (deleted)`. */
  path: string;
  /** The addresses of the mapping, which name a link in /proc/PID/map_files. */
  range: string;
}

/** The end of a line of maps, from the permission "x" on. It is the same in every process that maps the file. */
type LineEnd = string;

/**
 * Finds the executable mappings of files in /proc/PID/maps (proc_pid_maps(5)). Leaves out anonymous memory, [vdso] and
 * [vsyscall], whose device is 00:00. Searches the text instead of splitting it into lines, because a few of the lines of
 * each of hundreds of processes are executable.
 * @param maps one character per byte (latin1)
 * @param known remembers, across processes, the line ends that need no further examination
 * @param isProven decides whether a file needs no further examination, whatever process maps it
 * @returns the mappings that are not proven, and the paths of the others
 */
export function findExecutableMappings(
  maps: string,
  known: Map<LineEnd, string>,
  isProven: (file: MappedFile) => boolean,
): { unproven: MappedFile[]; provenPaths: string[] } {
  const unproven: MappedFile[] = [];
  const provenPaths: string[] = [];
  const examine = (at: number, lineEnd: LineEnd): string | undefined => {
    const file = parseLine(maps, at, lineEnd);
    if (file === undefined) return undefined;
    if (file !== 'anonymous' && !isProven(file)) {
      unproven.push(file);
      return undefined;
    }
    const path = file === 'anonymous' ? '' : file.path;
    known.set(lineEnd, path);
    return path;
  };
  // Private and shared mappings.
  for (const mark of ['xp ', 'xs ']) {
    let at = maps.indexOf(mark);
    while (at !== -1) {
      const newline = maps.indexOf('\n', at);
      const end = newline === -1 ? maps.length : newline;
      const lineEnd = maps.slice(at, end);
      const path = known.get(lineEnd) ?? examine(at, lineEnd);
      if (path !== undefined) provenPaths.push(path);
      at = maps.indexOf(mark, end);
    }
  }
  return { unproven, provenPaths };
}

const form = /^x[ps] [0-9a-f]+ ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$/s;

/**
 * @param at the index of the permission "x"
 * @returns undefined if the text was found in a path and is not the permission of a line
 * @throws Error if the line is malformed
 */
function parseLine(maps: string, at: number, lineEnd: LineEnd): MappedFile | 'anonymous' | undefined {
  const start = maps.lastIndexOf('\n', at) + 1;
  if (maps.indexOf(' ', start) !== at - 3) return undefined;
  const [, major = '', minor = '', inode = '', path = ''] = form.exec(lineEnd) ?? [];
  if (inode === '') throw new Error(`maps has a malformed line: ${maps.slice(start, at + 60)}`);
  const device = `${parseInt(major, 16)}:${parseInt(minor, 16)}`;
  if (device === '0:0') return 'anonymous';
  // The kernel escapes only the newline, so a backslash and 012 in a name cannot be told from it.
  const name = path.replaceAll('\\012', '\n');
  return { device, inode: Number(inode), path: name, range: maps.slice(start, at - 3) };
}
