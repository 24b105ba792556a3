import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { getSystemErrorName } from 'node:util';
import { isAbsent, onFile } from '../lib/errors.ts';
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
import { verifyKernelFile } from './kernel-files.ts';
import { readKernelLog } from './kernel-log.ts';
import { type Owner, readRecord } from './record.ts';
import type { ProbeKind } from './probe/probes.ts';

export type { Ended, Owner, ProbeKind, Stat, Usage };

/**
 * The only access to the system: every read goes through it, and every change through SystemWriter (writer.ts). Reads are
 * synchronous, since `status` reads procfs, sysfs and the local disk, and overlapping would not make its start faster.
 * Operations that may hang run in a child process with a deadline. Every failure is a HostError with errno's name.
 */
export interface SystemReader {
  /**
   * Reads a file, one character a byte (latin1), so that no byte is lost.
   * @param limit bytes, 16 MiB by default
   * @throws HostError EFBIG for a larger file; for a file below /proc or /sys that is not the kernel's
   */
  read(file: string, limit?: number): string;
  /**
   * As `read`, for a file that may be absent.
   * @returns undefined if the file does not exist (ENOENT, ENOTDIR); every other failure is an error
   */
  readIfPresent(file: string, limit?: number): string | undefined;
  /**
   * Reads a file in a folder that a less privileged user may write to, one character a byte. Only a regular file is opened
   * (record.ts).
   * @param owner who may own the file
   * @param limit bytes
   * @returns undefined if the file does not exist
   */
  readRecord(file: string, owner: Owner, limit?: number): string | undefined;
  /** Reads bytes of a file or device, one character a byte; fewer at its end. */
  readAt(file: string, offset: number, bytes: number): string;
  /** Reads a file in buffers of 1 MiB. */
  pieces(file: string): Iterable<Buffer>;
  /** The names in a folder, sorted. */
  list(folder: string): string[];
  /** The target of a symbolic link, unresolved, one character a byte. */
  link(file: string): string;
  /** The path with every symbolic link resolved. */
  resolve(file: string): string;
  /** lstat(2); undefined if the file does not exist. */
  stat(file: string): Stat | undefined;
  usage(file: string): Usage;
  /**
   * Tries a write to each folder's file system in a child process, without leaving a file.
   * @returns for each folder errno's name, 'OK' if the write succeeded, or 'TIMEOUT' at the deadline
   */
  tryWrites(folders: readonly string[]): Promise<string[]>;
  /** The records in the kernel's log buffer, the oldest first. */
  kernelLog(): string[];
  /** Runs probes of a path in a child process (probe/). @returns an answer for each kind, 'TIMEOUT' at the deadline */
  probe(kinds: readonly ProbeKind[], path: string): Promise<Partial<Record<ProbeKind, string>>>;
  /** Runs a program without a shell, and abandons it at the deadline (exec.ts). @param milliseconds 5000 by default */
  run(program: string, args: readonly string[], milliseconds?: number): Promise<Ended>;
  environment(): { hostname: string; kernel: string; uid: number; seconds: number };
  now(): Date;
}

const defaultLimit = 16 * 1024 * 1024;
/** The deadline of a child process, in milliseconds. */
const deadline = 5000;

export interface ReaderOptions {
  /** The system's root; tests give a folder of fixtures. */
  root?: string;
  /** The command line that starts this program, for child processes. */
  self?: readonly string[];
}

export function systemReader({ root = '/', self = [process.execPath] }: ReaderOptions = {}): SystemReader {
  const at = (file: string) => (root === '/' ? file : path.join(root, file));
  const verify = root === '/' ? verifyKernelFile : () => undefined;
  const read = (file: string, limit = defaultLimit) =>
    onFile(file, () => verified(file, verify, readLimited(at(file), limit)));
  return {
    read,
    readIfPresent: (file, limit) => unlessAbsent(() => read(file, limit)),
    readRecord: (file, owner, limit = defaultLimit) =>
      onFile(file, () => readRecord(at(file), owner, limit, file)),
    readAt: (file, offset, bytes) => onFile(file, () => readRange(at(file), offset, bytes)),
    pieces: (file) => readPieces(at(file)),
    list: (folder) => onFile(folder, () => verified(folder, verify, fs.readdirSync(at(folder)).sort())),
    link: (file) =>
      onFile(file, () => verified(path.dirname(file), verify, fs.readlinkSync(at(file), 'latin1'))),
    resolve: (file) => onFile(file, () => resolve(at(file), root, verify)),
    stat: (file) => onFile(file, () => statIfPresent(at(file))),
    usage: (file) => onFile(file, () => usageOf(at(file))),
    tryWrites: (folders) => tryWrites(self, folders.map(at)),
    kernelLog: () => onFile('/dev/kmsg', () => readKernelLog(at('/dev/kmsg'))),
    probe: (kinds, target) => probe(self, kinds, at(target)),
    run: (program, args, milliseconds = deadline) => runChild(program, args, milliseconds),
    environment: () => ({
      hostname: os.hostname(),
      kernel: os.release(),
      uid: process.getuid?.() ?? -1,
      seconds: os.uptime(),
    }),
    now: () => new Date(),
  };
}

function unlessAbsent<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Verifies a file after it was read, so that the check covers the file that was read. */
function verified<T>(file: string, verify: (file: string) => void, value: T): T {
  verify(file);
  return value;
}

function resolve(file: string, root: string, verify: (file: string) => void): string {
  const resolved = fs.realpathSync.native(file);
  verify(resolved);
  return root !== '/' && resolved.startsWith(root) ? resolved.slice(root.length) || '/' : resolved;
}

/** A small program that starts in a millisecond (packaging/build/try-write.c). If it is not installed, this program replaces it. */
const tryWriteProgram = '/usr/libexec/immutafs/try-write';

/** One child process writes to the folders in turn. If a write hangs, each folder after it gets a child process. */
async function tryWrites(self: readonly string[], folders: readonly string[]): Promise<string[]> {
  if (folders.length === 0) return [];
  const [program = process.execPath, ...args] = fs.existsSync(tryWriteProgram)
    ? [tryWriteProgram]
    : [...self, 'try-writes', '--'];
  const { stdout, ended } = await runChild(program, [...args, ...folders], deadline);
  // The last line may be incomplete.
  const answers = stdout.split('\n').slice(0, -1).slice(0, folders.length).map(answerName);
  if (answers.length === folders.length) return answers;
  const missing = ended === 'deadline' ? 'TIMEOUT' : 'no answer';
  const remaining = folders.slice(answers.length + 1).map((folder) => tryWrites(self, [folder]));
  return [...answers, missing, ...(await Promise.all(remaining)).flat()];
}

/** try-write prints errno's number, this program prints its name. */
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
  const { stdout, ended } = await runChild(program, [...args, 'probe', '--', target, ...kinds], deadline);
  const answers = new Map(
    stdout.split('\n').map((line) => [line.split(' ')[0], line.split(' ').slice(1).join(' ')]),
  );
  const missing = ended === 'deadline' ? 'TIMEOUT' : 'no answer';
  return Object.fromEntries(kinds.map((kind) => [kind, answers.get(kind) ?? missing]));
}
