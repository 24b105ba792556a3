import { hasCode, unless, unlessSystemError } from '../../lib/errors.ts';
import { observe } from '../../facts/observed.ts';
import type { SystemReader } from '../../system/reader.ts';
import { decodeBytes } from '../../lib/format.ts';

const nameLimit = 4096;
/** More than the maximum size of a command line with the default stack limit (execve(2)). */
const argumentsLimit = 16 * 1024 * 1024;

function otherProcesses({ processes }: SystemReader): number[] {
  return processes.list().filter((pid) => pid !== process.pid);
}

/** Returns the name of a process, which the kernel takes from the file that was executed; empty if unknown. */
export function commOf({ processes }: SystemReader, pid: number): string {
  return (unlessSystemError(() => processes.read(pid, 'comm', nameLimit)) ?? '').replace(/\n$/, '');
}

/** Returns the name of a process as messages show it: "rsyslogd (812)". */
export function nameOf(reader: SystemReader, pid: number): string {
  return `${commOf(reader, pid) || 'process'} (${pid})`;
}

/** The other processes, and those of which a read may hang, each with the reason (ProcessReader.silent). */
export interface ProcessList {
  pids: number[];
  /** The processes whose memory cannot be read. */
  silent: ReadonlyMap<number, string>;
  /** Of the others, those whose command line cannot be read. */
  withoutArguments: ReadonlyMap<number, string>;
}

/** Lists the other processes, and tries which of them can be read. This starts two processes. */
export async function listProcesses(reader: SystemReader): Promise<ProcessList> {
  const { processes } = reader;
  const pids = otherProcesses(reader);
  const silent = await processes.silent(pids, 'maps');
  const readable = pids.filter((pid) => !silent.has(pid));
  return { pids, silent, withoutArguments: await processes.silent(readable, 'cmdline') };
}

/**
 * Separates the processes that can be read from those of which a read may hang.
 * @param isWanted whether a process is of interest
 * @returns pids: the processes whose memory can be read; argumentsOf: returns the command line of a process, split into
 * arguments (latin1), or undefined if it cannot be read; examine: reads something of a process, and returns undefined if
 * this fails; unexamined: the processes that could not be examined, each with the reason
 */
export function readableProcesses(
  { processes }: SystemReader,
  { pids: all, silent, withoutArguments }: ProcessList,
  isWanted: (pid: number) => boolean = () => true,
) {
  const pids = all.filter((pid) => isWanted(pid) && !silent.has(pid));
  const unexamined = [...silent, ...withoutArguments]
    .filter(([pid]) => isWanted(pid))
    .map(([pid, reason]) => `process ${pid}: ${reason}`);
  const examine = <T>(pid: number, read: () => T): T | undefined => {
    const found = observe(read);
    if ('value' in found) return found.value;
    unexamined.push(`process ${pid}: ${found.error}`);
    return undefined;
  };
  const argumentsOf = (pid: number) =>
    withoutArguments.has(pid)
      ? undefined
      : examine(pid, () => processes.read(pid, 'cmdline', argumentsLimit) ?? '')?.split('\0');
  return { pids, argumentsOf, examine, unexamined };
}

/** Calls `read`. @returns undefined if the process has ended (ENOENT, ESRCH) or must not be inspected (EACCES) */
const unlessEnded = <T>(read: () => T): T | undefined => unless(hasCode('ENOENT', 'ESRCH', 'EACCES'), read);

/** A file that processes have open for writing. */
export interface OpenFile {
  path: string;
  bytes: number;
  /** The processes: "rsyslogd (812)". */
  who: string[];
  pids: number[];
}

/**
 * O_WRONLY | O_RDWR, the bits for writing in the flags of open(2). fdinfo shows the flags in octal
 * (proc_pid_fdinfo(5)).
 */
const writes = 3;

/** A path that a process has open for writing. */
export interface OpenPath {
  path: string;
  pid: number;
}

/** Where no path is on a disk. */
const withoutDisk = /^\/(dev|proc|sys)\//;

/**
 * Reads which paths on disks processes other than this one have open for writing. A path may no longer exist, and is not
 * examined, because its file system may hang.
 */
export function readOpenPaths(reader: SystemReader): OpenPath[] {
  return otherProcesses(reader).flatMap((pid) =>
    [...new Set(pathsOf(reader, pid))].map((path) => ({ path, pid })),
  );
}

function pathsOf(reader: SystemReader, pid: number): string[] {
  const names = unlessEnded(() => reader.list(`/proc/${pid}/fd`)) ?? [];
  return names.flatMap((fd) => {
    const path = unlessEnded(() => reader.link(`/proc/${pid}/fd/${fd}`));
    // "socket:[4711]" is no path.
    if (path?.startsWith('/') !== true || withoutDisk.test(path)) return [];
    const info = unlessEnded(() => reader.read(`/proc/${pid}/fdinfo/${fd}`)) ?? '';
    const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? '0';
    return (parseInt(flags, 8) & writes) === 0 ? [] : [path];
  });
}

/** Finds the files below some folders among the open paths, the largest first. */
export function openFilesIn(
  reader: SystemReader,
  paths: readonly OpenPath[],
  folders: readonly string[],
): OpenFile[] {
  const files = new Map<string, OpenFile>();
  for (const { path, pid } of paths) {
    if (!folders.some((folder) => path.startsWith(`${folder}/`))) continue;
    const stat = reader.stat(decodeBytes(path));
    if (stat?.kind !== 'file') continue;
    const file = files.get(path) ?? { path, bytes: stat.bytes, who: [], pids: [] };
    file.who.push(nameOf(reader, pid));
    file.pids.push(pid);
    files.set(path, file);
  }
  return [...files.values()].toSorted((a, b) => b.bytes - a.bytes);
}
