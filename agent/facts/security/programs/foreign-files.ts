import { unlessSystemError } from '../../../lib/errors.ts';
import {
  type MappedFile,
  type MappedFiles,
  type ProgramFiles,
  addressesOf,
} from '../../../system/mapped-files.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { isBelow } from '../../mounts/mountinfo.ts';
import { findExecutableMappings } from './mappings.ts';
import { type SealedLayers, deletedSuffix, isUnchangedInLayer } from './layer-files.ts';
import { isAtItsPath, isMemfd, originOf } from './origin.ts';

/** What decides whether a file came from the sealed disk. */
export interface Context extends SealedLayers, Pick<MappedFiles, 'memory'> {
  /** The items of FOREIGN_PROGRAMS_ALLOW. */
  allowed: readonly string[];
}

/** A file that a process executes and that did not come from the sealed disk. */
export interface ForeignFile extends MappedFile {
  /** Whether the file is the program itself; otherwise it is mapped as executable, such as a library. */
  role: 'executable' | 'mapping';
}

/** Larger than the maps of a process with the default limit of 65530 mappings (vm.max_map_count). */
const mapsLimit = 16 * 1024 * 1024;
/** How often a process is read whose thread exits, or executes another program, meanwhile. */
const attempts = 3;

/** Whether nothing but files on the sealed disk is mapped, with the executable among them. */
export function isProven(context: Context, { executable, mapped }: ProgramFiles): boolean {
  let isMapped = executable === undefined;
  for (const file of mapped) {
    if (isMemory(context, file)) continue;
    if (!context.sealed.has(file.device)) return false;
    isMapped ||= file.path === executable;
  }
  return isMapped;
}

/**
 * Returns the files of a process that did not come from the sealed disk: its executable first, the others by path.
 * @param pid the process, or a thread of it
 * @param addresses as in MappedFiles
 */
export function foreignFilesOf(
  context: Context,
  pid: number,
  programs: ProgramFiles,
  addresses: string,
): ForeignFile[] {
  const { executable } = programs;
  const mapped = programs.mapped.filter((file) => !isMemory(context, file));
  const files = mapped
    .filter(
      (file) =>
        !context.sealed.has(file.device) &&
        !isAllowed(context, file) &&
        !isUnchanged(context, pid, file, addressesOf(programs, addresses, file)),
    )
    .map((file): ForeignFile => {
      const role = file.path === executable ? 'executable' : 'mapping';
      return { ...file, role };
    });
  if (executable !== undefined && !mapped.some(({ path }) => path === executable)) {
    files.push(...unmappedExecutable(context, pid, executable));
  }
  // In an order that does not depend on addresses, so that the same file is reported every time.
  const key = ({ role, path }: ForeignFile) => `${role === 'executable' ? 0 : 1}${path}`;
  return files.sort((one, other) => (key(one) < key(other) ? -1 : 1));
}

/**
 * Examines a process without read-mappings, by the files of any thread that has memory.
 * @returns undefined if the process has no memory
 * @throws Error if the threads exit faster than they can be read
 */
export function readForeignFiles(context: Context, pid: number): ForeignFile[] | undefined {
  const { processes } = context.reader;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const thread = processes.threadWithMemory(pid, context.verifyTime);
    if (thread === undefined) return undefined;
    const maps = readMaps(context.reader, thread);
    const executable = processes.link(thread, 'exe');
    if (maps === '' || executable === undefined) continue;
    const { mapped, addresses } = findExecutableMappings(maps);
    return foreignFilesOf(context, thread, { executable, mapped }, addresses);
  }
  throw new Error('its threads exited while they were read');
}

function readMaps({ processes }: SystemReader, thread: number): string {
  return processes.read(thread, 'maps', mapsLimit) ?? '';
}

/**
 * Whether a mapping is shared or huge anonymous memory, which the kernel shows as a file of a file system that is mounted
 * nowhere (mm/shmem.c, fs/hugetlbfs/inode.c). The kernel gives these names; the other files there, which are memfds and
 * segments of System V, have names that begin with "/memfd:" and "/SYSV". Any other file system can contain a file with
 * such a name. With access to /proc/PID/map_files, root can execute such memory; a program is never memory.
 */
function isMemory({ memory }: Context, { device, path }: MappedFile): boolean {
  return memory.has(device) && (path === '/dev/zero (deleted)' || path === '/anon_hugepage (deleted)');
}

function isAllowed({ reader, mounts, allowed }: Context, file: MappedFile): boolean {
  if (allowed.length === 0) return false;
  if (isMemfd(file.path) && originOf(file, mounts).why === 'memfd') {
    return allowed.includes(file.path.slice(0, -deletedSuffix.length));
  }
  return allowed.some((prefix) => isBelow(file.path, prefix)) && isAtItsPath(reader, mounts, file);
}

/** Whether a mapped file lies unchanged in the lower layer of an overlay of this mount namespace. */
function isUnchanged(context: Context, pid: number, file: MappedFile, addresses: string): boolean {
  const { reader, mounts } = context;
  const overlays = mounts.all.filter(({ device, type }) => device === file.device && type === 'overlay');
  if (overlays.length === 0) return false;
  const link = `map_files/${addresses}`;
  const stat = unlessSystemError(() => {
    // Fails if the overlay has a layer that may hang.
    for (const { target } of overlays) reader.stat(target);
    return reader.processes.statOf(pid, link);
  });
  const pieces = () => reader.processes.pieces(pid, link);
  return stat !== undefined && isUnchangedInLayer(context, { path: file.path, stat, pieces });
}

/**
 * Examines an executable of which no part is mapped as executable. A process can copy its own code to anonymous memory,
 * as some programs do to use huge pages.
 */
function unmappedExecutable(context: Context, pid: number, path: string): ForeignFile[] {
  const { reader, mounts, sealed } = context;
  const stat = unlessSystemError(() => {
    // The path is meaningful only in the same mount namespace, and is not followed to a file system that may hang.
    const isSame = reader.processes.link(pid, 'ns/mnt') === reader.link('/proc/self/ns/mnt');
    if (!isSame) return undefined;
    reader.stat(path);
    return reader.processes.statOf(pid, 'exe');
  });
  const device = stat?.device ?? '';
  // During execve(2), no part of the program is mapped yet. Since then, the process may have exited.
  if (stat === undefined && reader.processes.threadWithMemory(pid, context.verifyTime) === undefined)
    return [];
  if (stat !== undefined) {
    if (sealed.has(device)) return [];
    const pieces = () => reader.processes.pieces(pid, 'exe');
    if (isUnchangedInLayer(context, { path, stat, pieces })) return [];
  }
  const served = mounts.serving(path);
  const file = {
    path,
    device: served === undefined ? device : served.device,
    inode: stat?.inode ?? 0,
  };
  return stat !== undefined && isAllowed(context, file) ? [] : [{ ...file, role: 'executable' }];
}
