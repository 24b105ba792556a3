import { hasCode, unless, unlessSystemError } from '../../lib/errors.ts';
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

/**
 * Separates the processes that can be read from those of which a read may hang, because a process or its tracer can
 * block the memory (ProcessReader.silent).
 * @returns pids: the processes whose memory can be read; argumentsOf: returns the command line of a process, split into
 * arguments (latin1), or undefined if it cannot be read; examine: reads something of a process, and returns undefined if
 * this fails; unexamined: the processes that could not be examined, each with the reason
 */
export async function readableProcesses({ processes }: SystemReader, all: readonly number[]) {
  const silent = await processes.silent(all, 'maps');
  const pids = all.filter((pid) => !silent.has(pid));
  const withoutArguments = await processes.silent(pids, 'cmdline');
  const unexamined = [...silent, ...withoutArguments].map(([pid, reason]) => `process ${pid}: ${reason}`);
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
