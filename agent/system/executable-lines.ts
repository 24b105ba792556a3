import { errorCode } from '../lib/errors.ts';
import { runChild } from './exec.ts';

const grep = '/usr/bin/grep';
/** The time for all processes, in milliseconds. */
const deadline = 2000;
/** Processes of one child process; the size of an argument list is limited. */
const mostProcesses = 10_000;
/** A line of maps with the permission "x" (proc_pid_maps(5)): addresses, a space, and four characters. */
const executable = '^[^ ]* ..x';

/** Read last, to verify that grep has not ended before: grep itself has executable mappings. */
const own = '/proc/self/maps';

/**
 * Reads the executable mappings of processes in a child process, because a read of maps may hang
 * (silent-processes.ts), and because grep(1) needs a quarter of the time for it.
 * @param folder the folder of procfs
 * @param program grep(1)
 * @returns the lines of /proc/PID/maps, one character per byte (latin1), for each process that has such lines; undefined
 *   if grep is missing, has not read every file within two seconds, has printed more than 16 MiB, or was killed. A part
 *   of the lines of a process must not pass for all of them.
 */
export async function readExecutableLines(
  folder: string,
  pids: readonly number[],
  program = grep,
): Promise<Map<number, string> | undefined> {
  if (pids.length > mostProcesses) return undefined;
  const files = pids.map((pid) => `${folder}/${pid}/maps`);
  try {
    const args = ['--no-messages', '--text', '--with-filename', '-e', executable, '--', ...files, own];
    const { stdout, ended } = await runChild(program, args, deadline);
    if (ended === 'deadline' || ended === 'full') return undefined;
    // The exit code says nothing, because grep also fails if one of the processes has exited.
    const end = `\n${stdout}`.indexOf(`\n${own}:`);
    return end < 0 ? undefined : byProcess(stdout.slice(0, end), folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** @param output lines that begin with the name of the file and a colon; all lines of a file are consecutive */
function byProcess(output: string, folder: string): Map<number, string> {
  const lines = new Map<number, string>();
  let start = 0;
  while (start < output.length) {
    const pid = output.slice(folder.length + 1 + start, output.indexOf('/', folder.length + 1 + start));
    const prefix = `${folder}/${pid}/maps:`;
    let end = start;
    while (output.startsWith(prefix, end)) end = endOfLine(output, end);
    // The kernel escapes a newline in a path, so that the prefix follows a newline only at the start of a line.
    const text = output.slice(start + prefix.length, end).replaceAll(`\n${prefix}`, '\n');
    if (end === start) break;
    lines.set(Number(pid), text);
    start = end;
  }
  return lines;
}

function endOfLine(text: string, from: number): number {
  const newline = text.indexOf('\n', from);
  return newline < 0 ? text.length : newline + 1;
}
