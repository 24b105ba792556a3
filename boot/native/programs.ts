/** Programs that immutafs-boot runs with a time limit. */
import { using } from './directories.ts';
import type { Native } from './native.ts';

export interface Ended {
  /** The exit code; 124 if the program was ended after the time, 127 if it is not installed. */
  code: number;
  /** What it printed, at most 64 KiB, without the last line feed. */
  output: string;
}

/** Runs a program of PATH in /. */
export function runProgram(
  native: Native,
  seconds: number,
  program: string,
  ...args: readonly string[]
): Ended {
  return using(native, native.openAt(-1, '/'), (root) => runIn(native, root, seconds, program, ...args));
}

/** Runs a program of PATH in an open directory. */
export function runIn(
  native: Native,
  directory: number,
  seconds: number,
  program: string,
  ...args: readonly string[]
): Ended {
  return endedOf(native.supervise(seconds, directory, program, ...args));
}

/** Parses the answer of `supervise` and `apart` (native.ts). */
export function endedOf(answer: string): Ended {
  const end = answer.indexOf(' ');
  return {
    code: Number(answer.slice(0, end)),
    output: answer
      .slice(end + 1)
      .replaceAll('\0', '')
      .trimEnd(),
  };
}

/** Returns the first line of what a program printed, for a reason. */
export function firstLine({ output }: Ended): string {
  return output.split('\n', 1)[0] ?? '';
}
