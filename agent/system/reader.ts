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
  readStretch,
  statOrNothing,
  usageOf,
} from './files.ts';
import { verifyKernelFile } from './kernel-files.ts';
import { readKernelLog } from './kernel-log.ts';
import { type Owner, readRecord } from './record.ts';
import type { ProbeKind } from './probe/probes.ts';

export type { Ended, Owner, ProbeKind, Stat, Usage };

/**
 * The one door to the system. Reads are synchronous: what `status` reads is procfs, sysfs and the local
 * disk, and a start of milliseconds leaves nothing to overlap. What may hang is asked of a child process with a
 * deadline. Every failure is a HostError with errno's name.
 */
export interface SystemReader {
  /**
   * The file's text, one character a byte (latin1), so that nothing is lost. At most `limit` bytes. What is
   * below /proc or /sys is the kernel's own, or an error.
   */
  read(file: string, limit?: number): string;
  /**
   * As `read`, for a file that may be absent.
   * @returns undefined if the file does not exist (ENOENT, ENOTDIR); every other failure is an error
   */
  readIfPresent(file: string, limit?: number): string | undefined;
  /**
   * The text of a file in a folder that a less privileged user may write to, one character a byte. Nothing but a regular
   * file is opened.
   * @param owner who may own it: root, or also the owner of its folder
   * @param limit bytes
   * @returns undefined where there is no such file
   */
  readRecord(file: string, owner: Owner, limit?: number): string | undefined;
  /** Bytes of a file or device, one character a byte; fewer where it ends before. */
  readAt(file: string, offset: number, bytes: number): string;
  /** The file's bytes from its beginning, piece by piece. */
  pieces(file: string): Iterable<Buffer>;
  /** Names in a folder, sorted. */
  list(folder: string): string[];
  /** Where a symbolic link points, as written in it, one character a byte. */
  link(file: string): string;
  /** The path with every symbolic link resolved. */
  resolve(file: string): string;
  /** lstat(2); undefined where there is no such file. */
  stat(file: string): Stat | undefined;
  usage(file: string): Usage;
  /**
   * A write to each folder's file system that leaves nothing behind, in a child process: errno's name, 'OK' if it went
   * through, or 'TIMEOUT' at the deadline.
   */
  tryWrites(folders: readonly string[]): Promise<string[]>;
  /** The records in the kernel's log, the oldest first. */
  kernelLog(): string[];
  /** Tries things at a path in a child process (agent/probe/): an answer a kind, 'TIMEOUT' at the deadline. */
  probe(kinds: readonly ProbeKind[], path: string): Promise<Partial<Record<ProbeKind, string>>>;
  /** Runs a program without a shell; left behind at the deadline, after five seconds unless another is given. */
  run(program: string, args: readonly string[], milliseconds?: number): Promise<Ended>;
  environment(): { hostname: string; kernel: string; uid: number; seconds: number };
  now(): Date;
}

const defaultLimit = 16 * 1024 * 1024;
/** Milliseconds that a child process may take. */
const deadline = 5000;

export interface ReaderOptions {
  /** Where the system's root is; tests give a folder of fixtures. */
  root?: string;
  /** The command line that starts this program, for what it has to do in a child process. */
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
    readAt: (file, offset, bytes) => onFile(file, () => readStretch(at(file), offset, bytes)),
    pieces: (file) => readPieces(at(file)),
    list: (folder) => onFile(folder, () => verified(folder, verify, fs.readdirSync(at(folder)).sort())),
    link: (file) =>
      onFile(file, () => verified(path.dirname(file), verify, fs.readlinkSync(at(file), 'latin1'))),
    resolve: (file) => onFile(file, () => resolve(at(file), root, verify)),
    stat: (file) => onFile(file, () => statOrNothing(at(file))),
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

/** After the reading, so that what was read is what is asked about. */
function verified<T>(file: string, verify: (file: string) => void, value: T): T {
  verify(file);
  return value;
}

function resolve(file: string, root: string, verify: (file: string) => void): string {
  const resolved = fs.realpathSync.native(file);
  verify(resolved);
  return root !== '/' && resolved.startsWith(root) ? resolved.slice(root.length) || '/' : resolved;
}

/** It starts in a millisecond; where this package is not installed, this program does the same (packaging/build/try-write.c). */
const writer = '/usr/libexec/immutafs/try-write';

/** One child writes to one folder after the other; those behind one that hangs get a child of their own. */
async function tryWrites(self: readonly string[], folders: readonly string[]): Promise<string[]> {
  if (folders.length === 0) return [];
  const [program = process.execPath, ...args] = fs.existsSync(writer)
    ? [writer]
    : [...self, 'try-writes', '--'];
  const { stdout, ended } = await runChild(program, [...args, ...folders], deadline);
  // The last line may have been cut off.
  const answers = stdout.split('\n').slice(0, -1).slice(0, folders.length).map(answerName);
  if (answers.length === folders.length) return answers;
  const missing = ended === 'deadline' ? 'TIMEOUT' : 'no answer';
  const behind = folders.slice(answers.length + 1).map((folder) => tryWrites(self, [folder]));
  return [...answers, missing, ...(await Promise.all(behind)).flat()];
}

/** try-write prints errno, this program its name. */
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
