import { getSystemErrorName } from 'node:util';
import { runChild } from './exec.ts';

/** The program that finds the executable mappings of processes (packaging/programs/read-mappings.c). */
const readMappingsProgram = '/usr/libexec/immutafs/read-mappings';

/** A file of which a process has mapped a part as executable. */
export interface MappedFile {
  /** "major:minor" of the file system that contains the file. */
  device: string;
  inode: number;
  /** The path as the kernel shows it, one character per byte (latin1). A deleted file ends with ` (deleted)`. */
  path: string;
}

/** The files that a process executes. */
export interface ProgramFiles {
  /** The target of /proc/PID/exe; undefined if there is none. */
  executable: string | undefined;
  /** The executable mappings, each file once. */
  mapped: readonly MappedFile[];
}

export interface MappedFiles {
  /**
   * The processes that were examined, those with the same files together. A process without memory is missing, as is
   * one that has exited.
   */
  groups: readonly (ProgramFiles & { pids: readonly number[] })[];
  /**
   * For each process that has mapped files whose device has the major number 0: the addresses of a mapping of each of
   * these files, which are the name of a link in /proc/PID/map_files, separated by spaces.
   */
  addresses: ReadonlyMap<number, string>;
  /** The processes of which a file cannot be read, with the reason for each. */
  unreadable: ReadonlyMap<number, string>;
  /** The processes that must be examined one by one. */
  rest: readonly number[];
  /** "major:minor" of the file systems in which the kernel keeps shared and huge anonymous memory. */
  memory: ReadonlySet<string>;
}

/** The time for all processes, in milliseconds. */
const deadline = 2000;
/** Processes of one child process; the size of an argument list is limited. */
const mostProcesses = 10_000;

/**
 * Finds the executable mappings of processes in a child process, because a read of maps may hang
 * (processes.ts), and because Node.js needs several times as long for it.
 * @returns undefined if the program cannot be run, has not examined every process within two seconds, has printed more
 *   than 16 MiB, or was killed. A part of the files of a process must not pass for all of them.
 */
export async function findMappedFiles(
  directory: string,
  pids: readonly number[],
  program = readMappingsProgram,
): Promise<MappedFiles | undefined> {
  if (pids.length > mostProcesses) return undefined;
  try {
    const { stdout, ended } = await runChild(program, pids.map(String), deadline, { cwd: directory });
    return ended === 'good' ? parseMappings(stdout) : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the addresses of a mapped file; an empty string if its device has another major number than 0. */
export function addressesOf({ mapped }: ProgramFiles, addresses: string, file: MappedFile): string {
  const index = mapped.filter(({ device }) => device.startsWith('0:')).indexOf(file);
  return index < 0 ? '' : (addresses.split(' ')[index] ?? '');
}

/**
 * Parses the output of read-mappings. The time depends on the number of distinct files, not on the number of processes.
 * @returns undefined if the output is incomplete or malformed
 */
export function parseMappings(output: string): MappedFiles | undefined {
  const records = output.split('\0');
  if (records.pop() !== '' || records.pop() !== 'e') return undefined;
  const files: MappedFile[] = [];
  const groups: MappedFiles['groups'][number][] = [];
  const addresses = new Map<number, string>();
  const unreadable = new Map<number, string>();
  const rest: number[] = [];
  const memory = new Set<string>();
  for (const record of records) {
    const [kind] = record;
    if (kind === 'm') {
      memory.add(record.slice(2));
      continue;
    }
    const end = record.indexOf(' ', 2);
    const first = record.slice(2, end);
    const others = record.slice(end + 1);
    if (kind === 'f') {
      const space = others.indexOf(' ');
      files.push({ device: first, inode: Number(others.slice(0, space)), path: others.slice(space + 1) });
    } else if (kind === 'p') {
      const programs = programsOf(others, files);
      if (programs === undefined) return undefined;
      groups.push({ ...programs, pids: first.split(',').map(Number) });
    } else if (kind === 'a') addresses.set(Number(first), others);
    else if (kind !== 'u') return undefined;
    else if (others === '0') rest.push(Number(first));
    else unreadable.set(Number(first), `maps or exe: ${getSystemErrorName(-Number(others))}`);
  }
  return { groups, addresses, unreadable, rest, memory };
}

/** @param numbers the numbers of the executable, or "-", and of the mapped files, separated by spaces */
function programsOf(numbers: string, files: readonly MappedFile[]): ProgramFiles | undefined {
  const [executable = '', ...rest] = numbers.split(' ');
  const mapped: MappedFile[] = [];
  for (const number of rest) {
    const file = files[Number(number)];
    if (file === undefined) return undefined;
    mapped.push(file);
  }
  if (executable === '-') return { executable: undefined, mapped };
  const target = files[Number(executable)];
  return target === undefined ? undefined : { executable: target.path, mapped };
}
