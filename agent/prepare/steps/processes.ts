import { errorCode, unlessSystemError } from '../../lib/errors.ts';
import { observe } from '../../facts/observed.ts';
import type { SystemReader } from '../../system/reader.ts';

const nameLimit = 4096;
/** More than the maximum size of a command line with the default stack limit (execve(2)). */
const argumentsLimit = 16 * 1024 * 1024;

/** Returns the process IDs of all processes except this one. */
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

/** The processes whose memory can be read. */
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
export function unlessEnded<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(errorCode(error))) return undefined;
    throw error;
  }
}
