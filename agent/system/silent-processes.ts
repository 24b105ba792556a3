import { errorCode } from '../lib/errors.ts';
import { runChild } from './exec.ts';

/**
 * The files of a process whose read waits for the memory of the process: `maps` also for a program that it is about to
 * execute, `cmdline` also for the content of the memory, which another process may provide (FUSE, userfaultfd(2)).
 */
export type MemoryFile = 'maps' | 'cmdline';

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
 * @param directory the directory of procfs
 * @param list returns the processes that exist now
 * @returns the processes whose file must not be read, with the reason
 */
export async function findSilent(
  directory: string,
  pids: readonly number[],
  name: MemoryFile,
  list: () => readonly number[],
): Promise<Map<number, string>> {
  const silent = new Map<number, string>();
  const began = performance.now();
  let rest = pids;
  while (rest.length > 0) {
    const part = rest.slice(0, mostFiles);
    const left = maximumTime - (performance.now() - began);
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
    const present = new Set(list());
    const after = answered === undefined ? 0 : part.indexOf(answered) + 1;
    const blocked = part.findIndex((pid, index) => index >= after && present.has(pid));
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
