import { UsageError } from '../agent/lib/errors.ts';
import type { Native } from './native.ts';
import type { BootReader } from './reader.ts';

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

export interface Context {
  native: Native;
  reader: BootReader;
}
