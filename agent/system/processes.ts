import { monotonicMilliseconds } from './clock.ts';
import fs from 'node:fs';
import { errorCode, hasCode, onFile, unless } from '../lib/errors.ts';
import { type Stat, describeStat, readLimited, readPieces } from './files.ts';
import { type MappedFiles, findMappedFiles } from './mapped-files.ts';
import { runChild } from './exec.ts';

/**
 * Reads the files of processes below /proc. In contrast to SystemReader.read, does not verify for each file that it is
 * the kernel's, because there are hundreds; a mount over /proc/PID is reported by the check kernel-view. Each method
 * that takes a process also takes a thread, because /proc/TID exists for each of them (proc_pid_lookup()), and returns
 * undefined if it has exited.
 */
export type ProcessReader = ReturnType<typeof processReader>;

/** @param directory the directory of procfs @param verify throws for a file that is not the kernel's */
export function processReader(directory: string, verify: (file: string) => void) {
  const fileOf = (pid: number, name: string) => `${directory}/${pid}/${name}`;
  return {
    /** Returns the process IDs in ascending order. @throws SystemError if /proc is not the kernel's procfs */
    list: () => onFile(directory, () => listProcesses(directory, verify)),
    /**
     * Finds the processes of which the other methods must not read this file, nor anything else that needs the memory of
     * the process, because the read may hang (findSilent). Takes at most five seconds.
     * @returns the reason for each of these processes
     */
    silent: (pids: readonly number[], name: MemoryFile): Promise<Map<number, string>> =>
      findSilent(directory, pids, name),
    /**
     * Finds the executable mappings of all processes at once (mapped-files.ts).
     * @returns undefined if the processes must be examined one by one
     */
    mappedFiles: (pids: readonly number[]): Promise<MappedFiles | undefined> =>
      findMappedFiles(directory, pids),
    /**
     * Reads a file of a process, one character per byte (latin1).
     * @param name relative to /proc/PID
     * @throws SystemError EFBIG if the file is larger than `limit` bytes; the system's error otherwise
     */
    read: (pid: number, name: string, limit: number): string | undefined =>
      unlessExited(fileOf(pid, name), (file) => readLimited(file, limit)),
    /**
     * Returns the thread whose files show the memory and the executable of a process: the first, or another one if the
     * first has exited. A thread that has exited can exist for as long as its tracer wants, in any number.
     * @param verifyTime is called for each thread, and throws if no time is left
     * @returns undefined if no thread has memory, as those of the kernel and of a zombie
     */
    threadWithMemory: (pid: number, verifyTime: () => void): number | undefined => {
      for (const thread of threadsOf(directory, pid)) {
        verifyTime();
        if (hasMemory(fileOf(thread, 'statm'))) return thread;
      }
      return undefined;
    },
    /** Returns the target of a symbolic link, one character per byte (latin1). */
    link: (pid: number, name: string): string | undefined =>
      unlessExited(fileOf(pid, name), (file) => fs.readlinkSync(file, 'latin1')),
    /**
     * Returns the state of the file that a link of procfs leads to (stat(2)). May hang if the file is on a file system
     * that may hang.
     */
    statOf: (pid: number, name: string): Stat | undefined =>
      unlessExited(fileOf(pid, name), (file) => describeStat(fs.statSync(file))),
    /** Reads the file that a link of procfs leads to, in buffers of 1 MiB. May hang, as statOf may. */
    pieces: (pid: number, name: string): Iterable<Buffer> => readPieces(fileOf(pid, name)),
  };
}

function listProcesses(directory: string, verify: (file: string) => void): number[] {
  verify(directory);
  const names = fs.readdirSync(directory).map(Number);
  return names.filter(Number.isInteger).sort((one, other) => one - other);
}

/**
 * Yields the first thread of a process, then the others, if there are any. The number of links of the directory is the
 * number of threads plus 2 (fs/proc/base.c), and stat(2) is faster than reading the directory of each kernel thread.
 */
function* threadsOf(directory: string, pid: number): Generator<number> {
  yield pid;
  const list = (task: string) => (fs.statSync(task).nlink > 3 ? fs.readdirSync(task) : []);
  yield* (unlessExited(`${directory}/${pid}/task`, list) ?? []).map(Number);
}

/** Whether a thread has memory, read without the lock of the memory (proc_pid_statm(5)). */
function hasMemory(statm: string): boolean {
  const text = unlessExited(statm, (file) => readLimited(file, statmLimit)) ?? '';
  return text !== '' && !text.startsWith('0 ');
}

function unlessExited<T>(file: string, action: (file: string) => T): T | undefined {
  // ESRCH: the process exited after its file was opened.
  return onFile(file, () => unless(hasCode('ENOENT', 'ESRCH'), () => action(file)));
}

/**
 * The files of a process whose read waits for the memory of the process: `maps` also for a program that it is about to
 * execute, `cmdline` also for the content of the memory, which another process may provide (FUSE, userfaultfd(2)).
 */
export type MemoryFile = 'maps' | 'cmdline';

const statmLimit = 4096;
const grep = '/usr/bin/grep';
/** The time until the first file of the rest must be read, in milliseconds. */
const deadline = 2000;
/** Upper bound on the time to try all files, in milliseconds. */
const maximumTime = 5000;
/** Files of one child process; the size of an argument list is limited. */
const mostFiles = 10_000;

/**
 * Finds the processes of which a file cannot be read, because the process or another one that shares its memory holds
 * the lock of the memory, for example while mmap(2) waits for a server that does not respond (mmap_lock in the kernel).
 * Not even the agent's own signal handlers would end such a read. Therefore, one child process reads the first bytes of
 * each file and prints its name; at the deadline, the child is abandoned, and a new one continues after the file that
 * blocked it.
 * @returns the processes whose file must not be read, with the reason
 */
async function findSilent(
  directory: string,
  pids: readonly number[],
  name: MemoryFile,
): Promise<Map<number, string>> {
  const silent = new Map<number, string>();
  const began = monotonicMilliseconds();
  let rest = pids;
  while (rest.length > 0) {
    const part = rest.slice(0, mostFiles);
    const left = maximumTime - (monotonicMilliseconds() - began);
    if (left <= 0) {
      for (const pid of rest)
        silent.set(pid, `not tried, because the processes before it took ${maximumTime} ms`);
      return silent;
    }
    const answered = await readWith(directory, part, name, Math.min(deadline, left));
    if (answered === 'all') {
      rest = rest.slice(part.length);
      continue;
    }
    // The first one that exists and did not answer. A process that has exited gives no answer either.
    const after = answered === undefined ? 0 : part.indexOf(answered) + 1;
    const blocked = part.findIndex((pid, index) => index >= after && fs.existsSync(`${directory}/${pid}`));
    const blocking = part[blocked];
    if (blocking === undefined) return silent;
    silent.set(blocking, `${name} could not be read within ${deadline} ms`);
    rest = rest.slice(blocked + 1);
  }
  return silent;
}

/**
 * Reads files in a child process. grep(1) prints a line for each file as soon as it is read, also for an empty one.
 * @returns `all`, or the last process that answered before the deadline; undefined if none did
 */
async function readWith(
  directory: string,
  pids: readonly number[],
  name: MemoryFile,
  milliseconds: number,
): Promise<'all' | number | undefined> {
  const files = pids.map((pid) => `${directory}/${pid}/${name}`);
  const args = ['-c', '-s', '-a', '-H', '-m1', '--line-buffered', '-e', '', '--', ...files];
  try {
    const { stdout, ended } = await runChild(grep, args, milliseconds);
    if (ended !== 'deadline') return 'all';
    const last = stdout.split('\n').at(-2) ?? '';
    const [, pid] = /\/(\d+)\/\w+:\d+$/.exec(last) ?? [];
    return pid === undefined ? undefined : Number(pid);
  } catch (error) {
    // Without grep, the files are read without this precaution.
    if (errorCode(error) === 'ENOENT') return 'all';
    throw error;
  }
}
