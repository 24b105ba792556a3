import fs from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { errorCode } from '../../lib/errors.ts';

/** A process, from proc_pid(5). Texts have one character per byte (latin1). */
export interface ProcessEntry {
  pid: number;
  /** The lines of /proc/PID/status that describe the process, its parent, its owner and its namespace. */
  status: Record<string, string>;
  /** The arguments, at most 4 KiB; undefined if they could not be read in time. */
  command: string[] | undefined;
  /** The executable, with " (deleted)" if it was removed; undefined for a kernel thread. */
  executable: string | undefined;
  cgroup: string;
  /** The start, in clock ticks since boot. */
  started: string;
}

/**
 * The time until the arguments of a process are given up, in milliseconds. On a busy guest, a thread can wait for seconds
 * for a processor, and the evidence is then incomplete.
 */
const deadline = 10_000;
/** The number of processes whose arguments are waited for in vain, below the number of Node.js's threads. */
const mostHanging = 3;
const commandBytes = 4096;

/**
 * Describes the processes that still exist. Reads the arguments of a process in another thread, because the process can
 * have put them into memory that another process provides (FUSE, userfaultfd(2)), which then hangs the reader.
 * @param pids without the processes of which nothing must be read (ProcessReader.silent)
 */
export async function* describeProcesses(pids: readonly number[]): AsyncGenerator<ProcessEntry, void> {
  let hanging = 0;
  for (const pid of pids) {
    const directory = `/proc/${pid}`;
    const status = readOr(`${directory}/status`);
    if (status === '') continue;
    const command = hanging < mostHanging ? await readCommand(`${directory}/cmdline`) : undefined;
    if (command === undefined) hanging += 1;
    yield {
      pid,
      status: statusFields(status),
      command: command?.split('\0').slice(0, -1),
      executable: linkOr(`${directory}/exe`),
      cgroup: readOr(`${directory}/cgroup`).trimEnd(),
      // The second field is in parentheses and may contain any character.
      started:
        readOr(`${directory}/stat`)
          .replace(/^.*\) /s, '')
          .split(' ')[19] ?? '',
    };
  }
}

function statusFields(text: string): Record<string, string> {
  const wanted = ['Name', 'State', 'PPid', 'TracerPid', 'Uid', 'Gid', 'NSpid', 'CapEff', 'Seccomp'];
  const fields = text.split('\n').map((line) => /^(\w+):\s*(.*)$/.exec(line) ?? []);
  return Object.fromEntries(
    fields.flatMap(([, key = '', value = '']) =>
      wanted.includes(key) ? [[key, value.replace(/\t/g, ' ')]] : [],
    ),
  );
}

/** @returns undefined at the deadline; empty if the process ended */
async function readCommand(file: string): Promise<string | undefined> {
  const read = async () => {
    try {
      const handle = await fs.promises.open(file, 'r');
      try {
        const { bytesRead, buffer } = await handle.read(Buffer.alloc(commandBytes), 0, commandBytes, 0);
        return buffer.toString('latin1', 0, bytesRead);
      } finally {
        await handle.close();
      }
    } catch {
      return '';
    }
  };
  return Promise.race([read(), wait(deadline, undefined, { ref: false })]);
}

/** Returns the text of a file; empty if the process ended. */
function readOr(file: string): string {
  try {
    return fs.readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function linkOr(file: string): string | undefined {
  try {
    return fs.readlinkSync(file, 'latin1');
  } catch (error) {
    return errorCode(error) === 'EACCES' ? '(not readable)' : undefined;
  }
}
