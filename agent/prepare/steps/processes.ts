import { errorCode, unlessSystemError } from '../../lib/errors.ts';
import { observe } from '../../facts/observed.ts';
import type { SystemReader } from '../../system/reader.ts';
import { decodeBytes } from '../../lib/format.ts';
import { unlessRefused } from '../../system/image.ts';

const nameLimit = 4096;
/** More than the maximum size of a command line with the default stack limit (execve(2)). */
const argumentsLimit = 16 * 1024 * 1024;

export function otherProcesses({ processes }: SystemReader): number[] {
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

interface ReadableProcesses {
  pids: number[];
  /** Returns the command line of a process, split into arguments (latin1); undefined if it cannot be read. */
  argumentsOf: (pid: number) => string[] | undefined;
  /** Receives the processes that could not be examined, each with the reason. */
  unexamined: string[];
}

/**
 * Separates the processes that can be read from those of which a read may hang, because a process or its tracer can
 * block the memory (ProcessReader.silent).
 */
export async function readableProcesses(
  { processes }: SystemReader,
  pids: readonly number[],
): Promise<ReadableProcesses> {
  const silent = await processes.silent(pids, 'maps');
  const readable = pids.filter((pid) => !silent.has(pid));
  const withoutArguments = await processes.silent(readable, 'cmdline');
  const unexamined = [...silent, ...withoutArguments].map(([pid, reason]) => `process ${pid}: ${reason}`);
  const argumentsOf = (pid: number) => {
    if (withoutArguments.has(pid)) return undefined;
    const line = observe(() => processes.read(pid, 'cmdline', argumentsLimit) ?? '');
    if ('value' in line) return line.value.split('\0');
    unexamined.push(`process ${pid}: ${line.error}`);
    return undefined;
  };
  return { pids: readable, argumentsOf, unexamined };
}

/** Calls `read`. @returns undefined if the process has ended (ENOENT, ESRCH) or must not be inspected (EACCES) */
function unlessEnded<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(errorCode(error))) return undefined;
    throw error;
  }
}

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

/** Finds the files below some folders that processes other than this one have open for writing, the largest first. */
export function openForWriting(reader: SystemReader, folders: readonly string[]): OpenFile[] {
  const files = new Map<string, OpenFile>();
  for (const pid of unlessRefused(() => otherProcesses(reader)) ?? []) {
    for (const path of new Set(pathsOf(reader, pid, folders))) {
      const stat = reader.stat(decodeBytes(path));
      if (stat?.kind !== 'file') continue;
      const file = files.get(path) ?? { path, bytes: stat.bytes, who: [], pids: [] };
      file.who.push(nameOf(reader, pid));
      file.pids.push(pid);
      files.set(path, file);
    }
  }
  return [...files.values()].toSorted((a, b) => b.bytes - a.bytes);
}

function pathsOf(reader: SystemReader, pid: number, folders: readonly string[]): string[] {
  const names = unlessEnded(() => reader.list(`/proc/${pid}/fd`)) ?? [];
  return names.flatMap((fd) => {
    const path = unlessEnded(() => reader.link(`/proc/${pid}/fd/${fd}`));
    if (path === undefined || !folders.some((folder) => path.startsWith(`${folder}/`))) return [];
    const info = unlessEnded(() => reader.read(`/proc/${pid}/fdinfo/${fd}`)) ?? '';
    const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? '0';
    return (parseInt(flags, 8) & writes) === 0 ? [] : [path];
  });
}
