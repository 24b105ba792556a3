import { existsSync } from 'node:fs';
import { SystemError, errorMessage } from '../lib/errors.ts';
import { type Child, startChild } from './child.ts';
import { type Ended, runChild, runSync } from './exec.ts';

const journalctl = '/usr/bin/journalctl';
/** Prints the entries of this boot in half of journalctl's processor time (packaging/programs/read-journal.c). */
const readJournal = '/usr/libexec/immutafs/read-journal';
/**
 * The version of the libsystemd in read-journal. It skips journal files with a feature that it does not know, without an
 * error, so that a later systemd requires journalctl.
 */
export const libsystemdVersion = 257;
/** Runs a program with an output buffer of 64 KiB, as much as Node.js reads from a pipe at a time (stdbuf(1)). */
const buffering = ['/usr/bin/stdbuf', '--output=64K'];

const blocksOption = '--blocks';

export type StartPosition =
  /** The first entry of this boot. From there, journalctl reads only up to a corrupt entry. */
  | { at: 'boot' }
  /** The first entry of all. */
  | { at: 'head' }
  /** This entry, or the next entry if this entry no longer exists. */
  | { at: 'cursor'; cursor: string }
  /** The entry after this entry, which cannot be read. */
  | { at: 'after'; cursor: string };

interface JournalSelection {
  start: StartPosition;
  /**
   * The required fields, except those that every entry contains; undefined for all fields. The output may contain more
   * fields.
   */
  fields: readonly string[] | undefined;
  /** If set, reading ends after the last entry of this boot, instead of waiting for new entries. */
  boot?: string | undefined;
  /**
   * Whether to save processor time: read-journal reads the journal where it can, and journalctl writes 64 KiB at a time
   * instead of 4 KiB. While the program waits for entries, its buffer is empty in both cases. After a failure, journalctl
   * with small writes skips the entry that causes the failure, or gets closer to it, because a program that crashes loses
   * its buffer.
   */
  fast: boolean;
}

/** How the program ended if `stop` was not called. */
export interface StreamEnd {
  /** Whether a signal terminated it, in which case an incomplete entry is not necessarily corrupt. */
  killed: boolean;
  /** Whether it has printed everything that it was asked for. */
  complete: boolean;
  reason: string;
}

/** A running journalctl or read-journal process. */
export interface JournalStream {
  program: 'journalctl' | 'read-journal';
  /** Whether the output is divided into blocks (packaging/programs/read-journal.c). */
  inBlocks: boolean;
  pause(): void;
  resume(): void;
  /** Terminates the process without calling `onEnd`. */
  stop(): void;
}

const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', SYSTEMD_COLORS: '0' };

const options = ['-o', 'export', '--no-pager', '-q', '--no-tail'];

/**
 * Follows the journal in the export format. Uses only options that systemd 219 supports, and `--cursor` rather than
 * `--after-cursor`, because before systemd 256 `--after-cursor` skips an additional entry if the cursor's entry no
 * longer exists.
 * @param onEnd is called once, and never before this function returns; also if no process can be created
 */
export function followJournal(
  selection: JournalSelection,
  onData: (chunk: Buffer) => void,
  onEnd: (end: StreamEnd) => void,
): JournalStream {
  const [program = '', ...words] = readingCommand(selection);
  let ended = false;
  const finish = (end: StreamEnd) => {
    if (ended) return;
    ended = true;
    onEnd(end);
  };
  const fail = (error: unknown) => finish({ killed: false, complete: false, reason: errorMessage(error) });
  const child = startUnless(program, words, fail);
  child?.stdout.on('data', onData);
  child?.on('error', fail);
  if (child !== undefined) onClose(child, finish);
  return {
    program: program === readJournal ? 'read-journal' : 'journalctl',
    inBlocks: words[0] === blocksOption,
    pause: () => void child?.stdout.pause(),
    resume: () => void child?.stdout.resume(),
    stop: () => {
      ended = true;
      if (child !== undefined) terminate(child);
    },
  };
}

/** Calls `finish` when a program has ended. The reason contains the end of its stderr. */
function onClose(child: Child<'ignore', 'pipe'>, finish: (end: StreamEnd) => void): void {
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('latin1')).slice(-500);
  });
  child.on('close', (code, signal) => {
    const how = signal ?? `exit code ${code ?? ''}`;
    const reason = `${stderr.trim().replace(/\s+/g, ' ') || 'no message'} (${how})`;
    finish({ killed: signal !== null, complete: code === 0, reason });
  });
}

/**
 * Reads the journal of this boot in the export format, as a stream that waits for its reader.
 * @throws SystemError during the iteration, if journalctl cannot be run or fails
 */
export async function* exportJournal(): AsyncGenerator<Buffer, void> {
  const args = ['-o', 'export', '-b', '-q', '--no-pager'];
  const child = startChild(journalctl, args, {
    ...{ cwd: '/', stdio: ['ignore', 'pipe', 'pipe'], env: environment },
  });
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(errorMessage(error)));
    onClose(child, ({ complete, reason }) => resolve(complete ? undefined : reason));
  });
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
    const problem = await ended;
    if (problem !== undefined) throw new SystemError(`${journalctl}: ${problem}`);
  } finally {
    child.kill('SIGTERM');
  }
}

/** Starts a program that follows the journal. If no process can be created, calls `fail` later and returns undefined. */
function startUnless(
  program: string,
  words: readonly string[],
  fail: (error: unknown) => void,
): Child<'ignore', 'pipe'> | undefined {
  try {
    return startChild(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env: environment });
  } catch (error) {
    setImmediate(fail, error);
    return undefined;
  }
}

/**
 * Returns the cursor of the last entry of the journal, or of a boot; '' if there is no entry, or undefined if journalctl
 * fails or does not answer within 10 s.
 */
export async function lastCursor(boot?: string): Promise<string | undefined> {
  const match = boot === undefined ? [] : [`_BOOT_ID=${boot}`];
  const args = ['-n', '1', '-q', '--no-pager', '--show-cursor', '-o', 'cat', ...match];
  // journalctl prints the cursor after the entry, which may have any content and any size.
  const { text, ended } = await endOfOutput(args, 10_000, 500);
  return ended === 'good' ? (/(?:^|\n)-- cursor: (\S+)\n$/.exec(text)?.[1] ?? '') : undefined;
}

/**
 * Runs journalctl.
 * @param timeout in milliseconds
 * @returns the end of its output (latin1), and how it ended
 */
async function endOfOutput(
  args: readonly string[],
  timeout: number,
  bytes: number,
): Promise<{ text: string; ended: Ended['ended'] | 'not started' }> {
  let text = '';
  const output = (part: string) => void (text = (text + part.slice(-bytes)).slice(-bytes));
  try {
    const { ended } = await runChild(journalctl, args, timeout, { output });
    return { text, ended };
  } catch {
    return { text, ended: 'not started' };
  }
}

/** read-journal follows the journal of this boot. It is missing where the agent is not installed. */
function readingCommand({ start, fields, boot, fast }: JournalSelection): string[] {
  const from = start.at === 'cursor' ? start.cursor : start.at;
  const canFollow = (start.at === 'cursor' || start.at === 'boot') && boot === undefined;
  if (fast && canFollow && existsSync(readJournal) && knowsJournal())
    return [readJournal, ...(fields === undefined ? [blocksOption] : []), from, ...(fields ?? [])];
  const range = boot === undefined ? ['-f'] : [`_BOOT_ID=${boot}`];
  const command = [journalctl, ...options, ...range, ...fieldOptions(fields), ...startOptions(start)];
  return fast && canBuffer() ? [...buffering, ...command] : command;
}

const bootsBytes = 1024 * 1024;

/**
 * Returns the IDs of the boots in the journal, the oldest first; undefined if journalctl cannot be started or does not
 * end within a minute. Its exit code is not 0 if there is no boot.
 */
export async function listBoots(): Promise<string[] | undefined> {
  const { text, ended } = await endOfOutput(['--list-boots', '-q', '--no-pager'], 60_000, bootsBytes);
  if (ended !== 'good' && ended !== 'bad') return undefined;
  return [...text.matchAll(/^ *-?\d+ ([0-9a-f]{32}) /gm)].map(([, id]) => id ?? '');
}

let selects: boolean | undefined;
let buffers: boolean | undefined;

/** Whether read-journal knows all features of the journal files. The answer may change when systemd is updated. */
function knowsJournal(): boolean {
  const { exit, stdout } = runSync(journalctl, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] });
  if (exit !== 0) return false;
  const version = /^systemd (\d+)/.exec(stdout)?.[1];
  return version !== undefined && Number(version) <= libsystemdVersion;
}

/** Returns the option that selects fields, if journalctl supports it (since systemd 236). */
function fieldOptions(fields: readonly string[] | undefined): string[] {
  if (fields === undefined) return [];
  const option = `--output-fields=${fields.join(',')}`;
  selects ??= succeeds([journalctl, option, '--version']);
  return selects === true ? [option] : [];
}

/** Whether stdbuf is installed and works. It is a part of coreutils. */
function canBuffer(): boolean {
  return (buffers ??= succeeds([...buffering, '/usr/bin/true'])) === true;
}

/** Whether a program exits with 0; undefined if it cannot be started, which may change. */
function succeeds([program = '', ...words]: string[]): boolean | undefined {
  const { exit, error } = runSync(program, words);
  return error === undefined ? exit === 0 : undefined;
}

function startOptions(start: StartPosition): string[] {
  switch (start.at) {
    case 'boot':
      return ['-b'];
    case 'head':
      return [];
    case 'cursor':
      return [`--cursor=${start.cursor}`];
    case 'after':
      return [`--after-cursor=${start.cursor}`];
  }
}

/** Terminates a process. Closes the pipes first, so that a blocked write cannot delay its exit. */
function terminate(child: Child<'ignore', 'pipe'>): void {
  child.stdout.removeAllListeners('data');
  child.stdout.destroy();
  child.stderr.destroy();
  child.kill('SIGTERM');
}
