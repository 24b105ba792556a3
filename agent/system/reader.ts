import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { getSystemErrorName } from 'node:util';
import { onFile, unlessAbsent } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import { bootProgram, readDeviceTables, verifyKernelFile, readKernelLog } from './kernel.ts';
import { type Ended, runChild } from './exec.ts';
import {
  type Stat,
  type Usage,
  readLimited,
  readPieces,
  readRange,
  statIfPresent,
  usageOf,
} from './files.ts';
import { type ProcessReader, processReader } from './processes.ts';
import { type Owner, readRecord } from './record.ts';
import type { ProbeKind } from './probe/probes.ts';

export type { Ended, Owner, ProbeKind, ProcessReader, Stat, Usage };

/**
 * Every read of the system goes through this interface, and every change through SystemWriter (writer.ts). Reads are
 * synchronous, because `status` reads procfs, sysfs and the local disk, where asynchronous reads would not be faster.
 * Operations that may hang run in a child process with a deadline. Every failure is a SystemError with the error code.
 */
export type SystemReader = ReturnType<typeof systemReader> & { image?: ImagePart };

/** The part of a SystemReader that only a reader of an image has. */
interface ImagePart {
  /** Records something that only a running guest has. The engine reports it with the step. */
  note: (what: string) => void;
  /** Returns what was refused or noted since the last call, in the words of a message. */
  takeNotes: () => string[];
}

const defaultLimit = 16 * 1024 * 1024;
/** The deadline of a child process, in milliseconds. */
const deadline = 8000;
/** The deadline of the probes that --probe asks for. On a busy guest, the agent's executable needs seconds to start. */
const probeDeadline = 12_000;

interface ReaderOptions {
  /** The root of the system. Tests use a directory with fixtures instead. */
  root?: string;
  /** The command line that starts this program, for child processes. */
  self?: readonly string[];
}

export function systemReader({ root = '/', self = [process.execPath] }: ReaderOptions = {}) {
  const at = (file: string) => (root === '/' ? file : path.join(root, file));
  const verify = root === '/' ? verifyKernelFile : () => undefined;
  const read = (file: string, limit = defaultLimit): string =>
    onFile(file, () => verified(file, verify, readLimited(at(file), limit)));
  return {
    /**
     * Reads a file, one character per byte (latin1), so that no byte is lost.
     * @param limit the maximum size in bytes, 16 MiB by default
     * @throws SystemError EFBIG for a larger file; SystemError for a file below /proc or /sys that is not the kernel's
     */
    read,
    /**
     * Like `read`, for a file that may be absent.
     * @returns undefined if the file does not exist (ENOENT, ENOTDIR); every other failure is an error
     */
    readIfPresent: (file: string, limit?: number): string | undefined =>
      // Faster than the error of open(2) for an absent file.
      onFile(file, () => fs.statSync(at(file), { throwIfNoEntry: false })) &&
      unlessAbsent(() => read(file, limit)),
    /**
     * Reads a file in a directory to which a less privileged user may write, one character per byte (latin1). Only a
     * regular file is opened (record.ts).
     * @param limit the maximum size, in bytes
     * @returns undefined if the file does not exist
     */
    readRecord: (file: string, owner: Owner, limit = defaultLimit): string | undefined =>
      onFile(file, () => readRecord(at(file), owner, limit, file)),
    /** Reads bytes at an offset of a file or device, one character per byte (latin1). Returns fewer bytes at its end. */
    readAt: (file: string, offset: number, bytes: number): string =>
      onFile(file, () => verified(file, verify, readRange(at(file), offset, bytes))),
    /** Reads a file in buffers of 1 MiB. */
    pieces: (file: string): Iterable<Buffer> => readPieces(at(file)),
    /** Returns the names in a directory, sorted. */
    list: (directory: string): string[] =>
      onFile(directory, () => verified(directory, verify, fs.readdirSync(at(directory)).sort())),
    /** Like `list`, for names that other programs choose: the path and the names have one character per byte (latin1). */
    listBytes: (directory: string): string[] =>
      onFile(decodeBytes(directory), () =>
        fs.readdirSync(Buffer.from(at(directory), 'latin1'), { encoding: 'latin1' }).sort(),
      ),
    /** Whether a directory, which another user may have filled, has an entry. */
    hasEntries: (directory: string): boolean =>
      onFile(directory, () => verified(directory, verify, hasEntries(at(directory)))),
    /** Returns the target of a symbolic link, unresolved, one character per byte (latin1). */
    link: (file: string): string =>
      onFile(file, () => verified(path.dirname(file), verify, fs.readlinkSync(at(file), 'latin1'))),
    /** Returns the path with every symbolic link resolved. */
    resolve: (file: string): string => onFile(file, () => resolve(at(file), root, verify)),
    /** Returns the result of lstat(2), or undefined if the file does not exist. */
    stat: (file: string): Stat | undefined => onFile(file, () => statIfPresent(at(file))),
    /** Like `stat`, for a path with one character per byte (latin1). */
    statBytes: (file: string): Stat | undefined =>
      onFile(decodeBytes(file), () => statIfPresent(Buffer.from(at(file), 'latin1'))),
    usage: (file: string): Usage => onFile(file, () => usageOf(at(file))),
    /**
     * Tries to write to each directory's file system in a child process, without leaving a file behind.
     * @returns for each directory, 'OK' if the write succeeded, 'TIMEOUT' at the deadline, or the error code
     */
    tryWrites: (directories: readonly string[]): Promise<string[]> => tryWrites(self, directories.map(at)),
    processes: processReader(at('/proc'), verify),
    /** Checks the tables of the device-mapper devices (kernel.ts). */
    deviceTables: (): ReadonlyMap<string, string> =>
      onFile(bootProgram, () => readDeviceTables(at(bootProgram))),
    /** Returns the records in the kernel's log buffer, the oldest first. */
    kernelLog: (): string[] => onFile('/dev/kmsg', () => readKernelLog(at('/dev/kmsg'))),
    /** Probes a path in a child process (probe/). @returns the answer for each kind, or 'TIMEOUT' at the deadline */
    probe: (kinds: readonly ProbeKind[], target: string): Promise<Partial<Record<ProbeKind, string>>> =>
      probe(self, kinds, at(target)),
    /**
     * Runs a program without a shell, and abandons it at the deadline (exec.ts).
     * @param output receives stdout as it arrives, one character per byte (latin1); `stdout` in the result is then empty
     */
    run: (
      program: string,
      args: readonly string[],
      milliseconds = deadline,
      output?: (text: string) => void,
    ): Promise<Ended> => runChild(program, args, milliseconds, { output }),
    environment: () => ({
      hostname: os.hostname(),
      kernel: os.release(),
      uid: process.getuid?.() ?? -1,
      get seconds() {
        return os.uptime();
      },
    }),
    now: (): Date => new Date(),
  };
}

function hasEntries(directory: string): boolean {
  const opened = fs.opendirSync(directory);
  try {
    return opened.readSync() !== null;
  } finally {
    opened.closeSync();
  }
}

/** Verifies a file after it was read, so that the check applies to the file that was read. Returns the value read. */
function verified<T>(file: string, verify: (file: string) => void, value: T): T {
  verify(file);
  return value;
}

function resolve(file: string, root: string, verify: (file: string) => void): string {
  const resolved = fs.realpathSync.native(file);
  verify(resolved);
  return root !== '/' && resolved.startsWith(root) ? resolved.slice(root.length) || '/' : resolved;
}

/**
 * A small program that starts in a millisecond (packaging/programs/try-write.c). If it is not installed, the agent itself
 * is used instead.
 */
const tryWriteProgram = '/usr/libexec/immutafs/try-write';

/**
 * Starts one child process that writes to the directories one after another. If a write hangs, a separate child process is
 * started for each of the remaining directories.
 */
async function tryWrites(self: readonly string[], directories: readonly string[]): Promise<string[]> {
  if (directories.length === 0) return [];
  const [program = process.execPath, ...args] = fs.existsSync(tryWriteProgram)
    ? [tryWriteProgram]
    : [...self, 'try-writes', '--'];
  const { stdout, ended } = await runChild(program, [...args, ...directories], deadline);
  // The last line may be incomplete.
  const answers = stdout.split('\n').slice(0, -1).slice(0, directories.length).map(answerName);
  if (answers.length === directories.length) return answers;
  const missing = ended === 'deadline' ? 'TIMEOUT' : 'no answer';
  const remaining = directories.slice(answers.length + 1).map((directory) => tryWrites(self, [directory]));
  return [...answers, missing, ...(await Promise.all(remaining)).flat()];
}

/** Returns the name of an error code. try-write prints the number of errno, the agent prints the name. */
function answerName(answer: string): string {
  if (answer === '0') return 'OK';
  return /^\d+$/.test(answer) ? getSystemErrorName(-Number(answer)) : answer;
}

async function probe(
  self: readonly string[],
  kinds: readonly ProbeKind[],
  target: string,
): Promise<Partial<Record<ProbeKind, string>>> {
  const [program = process.execPath, ...args] = self;
  const limit = kinds.includes('present') ? deadline : probeDeadline;
  const { stdout, ended } = await runChild(program, [...args, 'probe', '--', target, ...kinds], limit);
  const answers = new Map(
    stdout.split('\n').map((line) => [line.split(' ')[0], line.split(' ').slice(1).join(' ')]),
  );
  const missing = ended === 'deadline' ? 'TIMEOUT' : 'no answer';
  return Object.fromEntries(kinds.map((kind) => [kind, answers.get(kind) ?? missing]));
}
