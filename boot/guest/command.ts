import { UsageError, onFile, unlessSystemError } from '../../agent/lib/errors.ts';
import type { Native } from '../native/native.ts';
import type { BootReader } from '../native/reader.ts';
import { refusalOf } from '../native/refusal.ts';

/**
 * The exit codes of immutafs-boot. A caller treats every code that the table of commands does not have, and the end by a signal,
 * like FAILED: as the strictest answer.
 */
export const [YES, NO, USAGE, FAILED] = [0, 1, 2, 3];

export interface Command {
  /** Names of the arguments; a name that ends with "…" stands for any number of arguments. */
  args: string;
  does: string;
  /** What the exit codes 0 and 1 mean. */
  exit: string;
  /** The time limit, in seconds, after which SIGALRM ends the program. */
  seconds: number;
  run: (context: Context, args: readonly string[]) => { code: number; output: string };
}

/** Whether an optional argument was given, which can only be one word. @throws UsageError for another word */
export function hasWord(argument: string | undefined, word: string): boolean {
  if (argument !== undefined && argument !== word) throw new UsageError(`unknown word ${argument}`);
  return argument === word;
}

/** Returns for each word whether it is an argument. @throws UsageError for any other argument */
export function hasWords<Words extends string[]>(
  given: readonly string[],
  ...words: Words
): { [Each in keyof Words]: boolean } {
  for (const each of given) if (!words.includes(each)) throw new UsageError(`unknown word ${each}`);
  return words.map((word) => given.includes(word)) as { [Each in keyof Words]: boolean };
}

export interface Context {
  native: Native;
  reader: BootReader;
}

/** What the commands of the initramfs work with. */
export interface Early extends Context {
  /** Prints a warning on the console, and collects it for boot.env. */
  warn: (text: string) => void;
  warnings: readonly string[];
}

export function early({ native, reader }: Context): Early {
  const warnings: string[] = [];
  const warn = (text: string) => {
    warnings.push(text);
    native.print(2, `immutafs: warning: ${text}\n`);
  };
  return { native, reader, warn, warnings };
}

/** Returns the file of a program; undefined if the system does not have it. */
export function programFile(reader: BootReader, name: string): string | undefined {
  return ['/usr/sbin', '/sbin', '/usr/bin', '/bin']
    .map((directory) => `${directory}/${name}`)
    .find((file) => reader.stat(file) !== undefined);
}

/** Returns the seconds since the boot. */
export function uptime(reader: BootReader): number {
  return Number(/^\d+/.exec(reader.read('/proc/uptime'))?.[0] ?? Number.NaN);
}

/** The kernel log reaches the console and the journal. */
export function printToKernelLog({ native }: Pick<Context, 'native'>, text: string): void {
  const isPrinted = unlessSystemError(() => {
    onFile('/dev/kmsg', () => native.write('/dev/kmsg', `<2>${text}\n`));
    return true;
  });
  if (isPrinted !== true) native.print(2, `${text}\n`);
}

/** Returns the answer of a command that checks a path. */
export function answer(check: () => void): { code: number; output: string } {
  const refusal = refusalOf(check);
  return refusal === undefined
    ? { code: YES, output: '' }
    : { code: NO, output: `REASON=${refusal.reason}\nREMEDY=${refusal.remedy}\n` };
}

/** @throws UsageError for a path that is not absolute */
export function absolute(path: string): string {
  if (!path.startsWith('/')) throw new UsageError(`${path} is not an absolute path`);
  return path;
}
