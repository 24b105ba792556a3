import { errorMessage, unlessHostError } from '../../../lib/errors.ts';
import { decodeBytes } from '../../../lib/format.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { type MountTable, isBelow } from '../../mounts/mountinfo.ts';
import { type MappedFile, findExecutableMappings } from './executable-mappings.ts';
import { initramfsTest } from './initramfs-processes.ts';
import { deletedSuffix, isUnchangedInLayer } from './layer-files.ts';
import { type Origin, isAtItsPath, isMemfd, originOf } from './origin.ts';
import { type ProcessDetails, processDescriber } from './process-details.ts';

/** A process that runs a file that did not come from the sealed disk. */
export interface ForeignProgram extends ProcessDetails, Origin {
  pid: number;
  path: string;
  /** Whether the file is the program itself; otherwise it is mapped as executable, such as a library. */
  role: 'executable' | 'mapping';
  /** The number of further such files of the process. */
  otherFiles: number;
}

export interface ForeignPrograms {
  /** The first of the processes in ascending order of their ID. */
  list: ForeignProgram[];
  /** The number of such processes, which may be larger than the list. */
  count: number;
  /** The number of processes that were examined, with those that run only files of the sealed disk. */
  examined: number;
  /** The processes that could not be examined, with the reason for each. */
  unexamined: { pid: number; reason: string }[];
}

export interface ProgramOptions {
  /** Devices of the file systems on disks that the host made read-only. */
  sealed: ReadonlySet<string>;
  /** Path prefixes that FOREIGN_PROGRAMS_ALLOW permits. */
  allowed: readonly string[];
  /** The maximum length of the list; 100 by default. */
  listed?: number;
}

const listedByDefault = 100;
/** Larger than the maps of a process with the default limit of 65530 mappings (vm.max_map_count). */
const mapsLimit = 16 * 1024 * 1024;
/** Upper bound on the time to examine all processes, in milliseconds. */
const maximumTime = 3000;
/** Threads that are tried for the memory of a process whose first thread has exited. */
const triedThreads = 16;

/**
 * Examines every process. Kernel threads and zombies have no memory and are left out, as is anonymous memory, in which a
 * process can execute code that comes from no file.
 * @throws HostError if the processes cannot be listed
 */
export async function findForeignPrograms(
  reader: SystemReader,
  mounts: MountTable,
  options: ProgramOptions,
): Promise<ForeignPrograms> {
  const pids = reader.processes.list();
  const lines = await reader.processes.executableLines(pids);
  const silent =
    lines === undefined ? await reader.processes.silent(pids, 'maps') : new Map<number, string>();
  const context = { reader, mounts, ...options, lines, known: new Map() };
  const { results, unexamined } = examineAll(context, pids, silent);
  const sealedOnly = results.filter(({ files }) => files.length === 0).map(({ pid }) => pid);
  const isOfInitramfs = initramfsTest(reader, mounts, sealedOnly);
  const foreign = results.flatMap(({ pid, files }) => {
    const [first, ...others] = files.filter((file) => !isOfInitramfs(pid, file));
    return first === undefined ? [] : [{ pid, first, otherFiles: others.length }];
  });
  const shown = foreign.slice(0, options.listed ?? listedByDefault);
  const describe = await processDescriber(
    reader,
    mounts,
    shown.map(({ pid }) => pid),
  );
  const list = shown.map(({ pid, first: { path, role, ...file }, otherFiles }) => {
    const origin = originOf({ path, ...file }, mounts);
    return { pid, path: decodeBytes(path), role, ...origin, otherFiles, ...describe(pid) };
  });
  return { list, count: foreign.length, examined: results.length, unexamined };
}

interface Examined {
  /** The processes with memory; for each, the files that did not come from the sealed disk. */
  results: { pid: number; files: ForeignFile[] }[];
  unexamined: ForeignPrograms['unexamined'];
}

/** @param silent the processes that must not be read, with the reason */
function examineAll(
  context: Context,
  pids: readonly number[],
  silent: ReadonlyMap<number, string>,
): Examined {
  const began = performance.now();
  const examined: Examined = { results: [], unexamined: [] };
  for (const pid of pids) {
    try {
      const reason = silent.get(pid);
      if (reason !== undefined) throw new Error(reason);
      if (performance.now() - began > maximumTime) throw new Error(`no time left after ${maximumTime} ms`);
      const files = filesOf(context, pid);
      if (files !== undefined) examined.results.push({ pid, files });
    } catch (error) {
      examined.unexamined.push({ pid, reason: errorMessage(error) });
    }
  }
  // With hidepid=, /proc lists only the processes of the user (proc(5)).
  const isSeen = [...examined.results, ...examined.unexamined].some(({ pid }) => pid === 1);
  if (!isSeen) examined.unexamined.push({ pid: 1, reason: 'not visible in /proc' });
  return examined;
}

interface Context extends ProgramOptions {
  reader: SystemReader;
  mounts: MountTable;
  /** The executable lines of maps; undefined if they are still to be read. */
  lines: ReadonlyMap<number, string> | undefined;
  known: Map<string, string>;
}
type ForeignFile = MappedFile & Pick<ForeignProgram, 'role'>;

/**
 * Returns the files of a process that did not come from the sealed disk, its executable first; undefined if the process
 * has no memory.
 */
function filesOf(context: Context, pid: number): ForeignFile[] | undefined {
  const { reader, known, lines } = context;
  const maps = lines?.get(pid) ?? readMaps(reader, pid);
  if (maps === '') return undefined;
  const isProven = (file: MappedFile) => isSealed(context, file);
  const { unproven, provenPaths } = findExecutableMappings(maps, known, isProven);
  const executable = reader.processes.link(pid, 'exe');
  const mapped = unique(unproven).filter(
    (file) => !isAllowed(context, file) && !isUnchanged(context, pid, file),
  );
  const files = mapped.map((file): ForeignFile => {
    return { ...file, role: file.path === executable ? 'executable' : 'mapping' };
  });
  const isMapped =
    executable === undefined ||
    provenPaths.includes(executable) ||
    unproven.some(({ path }) => path === executable);
  if (!isMapped) files.push(...unmappedExecutable(context, pid, executable));
  return files.sort((one, other) => Number(other.role === 'executable') - Number(one.role === 'executable'));
}

/** Reads the maps of a process. Its first thread may have exited while others still run. */
function readMaps(reader: SystemReader, pid: number): string {
  const maps = reader.processes.read(pid, 'maps', mapsLimit) ?? '';
  if (maps !== '') return maps;
  for (const thread of reader.processes.threadsOf(pid).slice(0, triedThreads)) {
    const text = reader.processes.read(pid, `task/${thread}/maps`, mapsLimit) ?? '';
    if (text !== '') return text;
  }
  return '';
}

/** Whether a file is on a sealed file system, or is shared or huge anonymous memory, which the kernel shows as a file. */
function isSealed({ sealed, mounts }: Context, { device, path }: MappedFile): boolean {
  if (sealed.has(device)) return true;
  const isMemory = path === '/dev/zero (deleted)' || path === '/anon_hugepage (deleted)';
  return isMemory && !mounts.all.some((mount) => mount.device === device);
}

/** Removes the further mappings of the same file. */
function unique(files: readonly MappedFile[]): MappedFile[] {
  const seen = new Map(files.map((file) => [`${file.device} ${file.inode} ${file.path}`, file]));
  return [...seen.values()];
}

function isAllowed({ reader, mounts, allowed }: Context, file: MappedFile): boolean {
  if (allowed.length === 0) return false;
  if (isMemfd(file.path) && originOf(file, mounts).why === 'memfd') {
    return allowed.includes(file.path.slice(0, -deletedSuffix.length));
  }
  return allowed.some((prefix) => isBelow(file.path, prefix)) && isAtItsPath(reader, mounts, file);
}

/** Whether a mapped file lies unchanged in the lower layer of an overlay of this mount namespace. */
function isUnchanged({ reader, mounts, sealed }: Context, pid: number, file: MappedFile): boolean {
  if (!mounts.all.some(({ device, type }) => device === file.device && type === 'overlay')) return false;
  const stat = unlessHostError(() => {
    // Fails if the overlay has a layer that may hang.
    for (const { device, target } of mounts.all) if (device === file.device) reader.stat(target);
    return reader.processes.statOf(pid, `map_files/${shortRange(file.range)}`);
  });
  return stat !== undefined && isUnchangedInLayer(reader, mounts, sealed, file.path, stat);
}

/** The kernel pads the addresses in maps with zeros, but not those in the names in map_files. */
function shortRange(range: string): string {
  return range
    .split('-')
    .map((address) => address.replace(/^0+(?=.)/, ''))
    .join('-');
}

/**
 * Examines an executable of which no part is mapped as executable. A process can copy its own code to anonymous memory,
 * as some programs do to use huge pages.
 */
function unmappedExecutable(context: Context, pid: number, path: string): ForeignFile[] {
  const { reader, mounts, sealed } = context;
  const stat = unlessHostError(() => {
    // The path is meaningful only in the same mount namespace, and is not followed to a file system that may hang.
    const isSame = reader.processes.link(pid, 'ns/mnt') === reader.link('/proc/self/ns/mnt');
    if (!isSame) return undefined;
    reader.stat(path);
    return reader.processes.statOf(pid, 'exe');
  });
  const device = stat?.device ?? '';
  if (stat !== undefined) {
    const isBtrfs = (serving = mounts.serving(path)) =>
      serving?.type === 'btrfs' && sealed.has(serving.device);
    if (sealed.has(device) || (isBtrfs() && !path.endsWith(deletedSuffix))) return [];
    if (isUnchangedInLayer(reader, mounts, sealed, path, stat)) return [];
  }
  const served = mounts.serving(path);
  const file = {
    path,
    device: served === undefined ? device : served.device,
    inode: stat?.inode ?? 0,
    range: '',
  };
  return stat !== undefined && isAllowed(context, file) ? [] : [{ ...file, role: 'executable' }];
}
