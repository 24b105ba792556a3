import { errorCode } from '../lib/errors.ts';
import { runChild } from './exec.ts';

const grep = '/usr/bin/grep';
/** The time for all processes, in milliseconds. */
const deadline = 2000;
/** Processes of one child process; the size of an argument list is limited. */
const mostProcesses = 10_000;
/** A line of maps with the permission "x" (proc_pid_maps(5)): addresses, a space, and four characters. */
const executable = '^[^ ]* ..x';

/**
 * Reads the executable mappings of processes in a child process, because a read of maps may hang
 * (silent-processes.ts), and because grep(1) needs a quarter of the time for it.
 * @param folder the folder of procfs
 * @returns the lines of /proc/PID/maps, one character per byte (latin1), for each process that has such lines; undefined
 *   if grep is missing, has not read every file within two seconds, or has printed more than 16 MiB
 */
export async function readExecutableLines(
  folder: string,
  pids: readonly number[],
): Promise<Map<number, string> | undefined> {
  if (pids.length > mostProcesses) return undefined;
  const files = pids.map((pid) => `${folder}/${pid}/maps`);
  try {
    const args = ['--no-messages', '--text', '--with-filename', '-e', executable, '--', ...files];
    const { stdout, ended } = await runChild(grep, args, deadline);
    // grep also exits with an error if one of the processes has exited.
    return ended === 'good' || ended === 'bad' ? byProcess(stdout, folder) : undefined;
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
