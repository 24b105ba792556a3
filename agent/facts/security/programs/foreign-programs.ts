import { errorMessage, unlessHostError } from '../../../lib/errors.ts';
import { decodeBytes } from '../../../lib/format.ts';
import {
  type MappedFile,
  type MappedFiles,
  type ProgramFiles,
  addressesOf,
} from '../../../system/mapped-files.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { type MountTable, isBelow } from '../../mounts/mountinfo.ts';
import { findExecutableMappings } from './executable-mappings.ts';
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
const none: MappedFiles = { groups: [], addresses: new Map(), unreadable: new Map(), rest: [] };
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
  const found = (await reader.processes.mappedFiles(pids)) ?? { ...none, rest: pids };
  const silent = await reader.processes.silent(found.rest, 'maps');
  const examined = examineAll(
    { reader, mounts, ...options },
    found,
    new Map([...found.unreadable, ...silent]),
  );
  const { sealedOnly, others, unexamined } = examined;
  const isOfInitramfs = initramfsTest(reader, mounts, sealedOnly);
  const foreign = others.flatMap(({ pid, files }) => {
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
  return { list, count: foreign.length, examined: sealedOnly.length + others.length, unexamined };
}

interface Examined {
  /** The processes with memory that run only files of the sealed disk. */
  sealedOnly: number[];
  /** The other processes, in ascending order of their ID; for each, the files that did not come from the sealed disk. */
  others: { pid: number; files: ForeignFile[] }[];
  unexamined: ForeignPrograms['unexamined'];
}

/**
 * Many processes have the same files, so that a group of processes with only files on the sealed disk is examined once.
 * @param failed the processes that cannot or must not be read, with the reason for each
 */
function examineAll(
  context: Context,
  { groups, addresses, rest }: MappedFiles,
  failed: ReadonlyMap<number, string>,
): Examined {
  const began = performance.now();
  const sealedOnly: number[] = [];
  const others: Examined['others'] = [];
  const unexamined = [...failed].map(([pid, reason]) => ({ pid, reason }));
  const examine = (pid: number, filesOf: () => ForeignFile[] | undefined) => {
    try {
      if (performance.now() - began > maximumTime) throw new Error(`no time left after ${maximumTime} ms`);
      const files = filesOf();
      if (files?.length === 0) sealedOnly.push(pid);
      else if (files !== undefined) others.push({ pid, files });
    } catch (error) {
      unexamined.push({ pid, reason: errorMessage(error) });
    }
  };
  for (const group of groups) {
    if (isProven(context, group)) sealedOnly.push(...group.pids);
    else {
      for (const pid of group.pids)
        examine(pid, () => foreignFilesOf(context, pid, group, addresses.get(pid) ?? ''));
    }
  }
  for (const pid of rest) if (!failed.has(pid)) examine(pid, () => readForeignFiles(context, pid));
  // With hidepid=, /proc lists only the processes of the user (proc(5)).
  const isSeen = sealedOnly.includes(1) || [...others, ...unexamined].some(({ pid }) => pid === 1);
  if (!isSeen) unexamined.push({ pid: 1, reason: 'not visible in /proc' });
  const byPid = (one: { pid: number }, other: { pid: number }) => one.pid - other.pid;
  return { sealedOnly, others: others.sort(byPid), unexamined: unexamined.sort(byPid) };
}

interface Context extends ProgramOptions {
  reader: SystemReader;
  mounts: MountTable;
}
type ForeignFile = MappedFile & Pick<ForeignProgram, 'role'>;

/** Whether nothing but files on the sealed disk is mapped, with the executable among them. */
function isProven(context: Context, { executable, mapped }: ProgramFiles): boolean {
  let isMapped = executable === undefined;
  for (const file of mapped) {
    if (!isSealed(context, file)) return false;
    isMapped ||= file.path === executable;
  }
  return isMapped;
}

/**
 * Returns the files of a process that did not come from the sealed disk: its executable first, the others by path.
 * @param addresses as in MappedFiles
 */
function foreignFilesOf(
  context: Context,
  pid: number,
  programs: ProgramFiles,
  addresses: string,
): ForeignFile[] {
  const { executable, mapped } = programs;
  const files = mapped
    .filter(
      (file) =>
        !isSealed(context, file) &&
        !isAllowed(context, file) &&
        !isUnchanged(context, pid, file, addressesOf(programs, addresses, file)),
    )
    .map((file): ForeignFile => ({ ...file, role: file.path === executable ? 'executable' : 'mapping' }));
  if (executable !== undefined && !mapped.some(({ path }) => path === executable)) {
    files.push(...unmappedExecutable(context, pid, executable));
  }
  // In an order that does not depend on addresses, so that the same file is reported every time.
  const key = ({ role, path }: ForeignFile) => `${role === 'executable' ? 0 : 1}${path}`;
  return files.sort((one, other) => (key(one) < key(other) ? -1 : 1));
}

/** Examines a process without read-mappings. @returns undefined if the process has no memory */
function readForeignFiles(context: Context, pid: number): ForeignFile[] | undefined {
  const { reader } = context;
  const maps = readMaps(reader, pid);
  if (maps === '') return undefined;
  const { mapped, addresses } = findExecutableMappings(maps);
  return foreignFilesOf(context, pid, { executable: reader.processes.link(pid, 'exe'), mapped }, addresses);
}

/** Whether a process and all of its threads have exited. */
function hasExited({ processes }: SystemReader, pid: number): boolean {
  return processes.link(pid, 'exe') === undefined && processes.threadsOf(pid).length === 0;
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

function isAllowed({ reader, mounts, allowed }: Context, file: MappedFile): boolean {
  if (allowed.length === 0) return false;
  if (isMemfd(file.path) && originOf(file, mounts).why === 'memfd') {
    return allowed.includes(file.path.slice(0, -deletedSuffix.length));
  }
  return allowed.some((prefix) => isBelow(file.path, prefix)) && isAtItsPath(reader, mounts, file);
}

/** Whether a mapped file lies unchanged in the lower layer of an overlay of this mount namespace. */
function isUnchanged(
  { reader, mounts, sealed }: Context,
  pid: number,
  file: MappedFile,
  addresses: string,
): boolean {
  if (!mounts.all.some(({ device, type }) => device === file.device && type === 'overlay')) return false;
  const stat = unlessHostError(() => {
    // Fails if the overlay has a layer that may hang.
    for (const { device, target } of mounts.all) if (device === file.device) reader.stat(target);
    return reader.processes.statOf(pid, `map_files/${addresses}`);
  });
  return stat !== undefined && isUnchangedInLayer(reader, mounts, sealed, file.path, stat);
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
  // During execve(2), no part of the program is mapped yet. Since then, the process may have exited.
  if (stat === undefined && hasExited(reader, pid)) return [];
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
  };
  return stat !== undefined && isAllowed(context, file) ? [] : [{ ...file, role: 'executable' }];
}
