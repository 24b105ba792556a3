import { SystemError } from '../../lib/errors.ts';
import type { Ran, SystemWriter } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Action } from './step.ts';

export interface Printer {
  say: (text: string) => void;
  /** On a terminal, prints a line that the next one overwrites. */
  progress: (text: string) => void;
}

/** What every step works with: the guest, and the destination of messages. */
export interface Tools extends Printer {
  reader: SystemReader;
  /** For changes to files that the action does not name. These changes are neither backed up nor logged. */
  writer: SystemWriter;
}

export interface Context extends Tools {
  /**
   * Runs a program that must succeed.
   * @returns the last 64 KiB of its stdout, one character per byte
   * @param options `seconds`: the timeout, after which the program is ended; by default one hour
   * @throws SystemError with the last lines of stderr if the program failed or exceeded its timeout
   */
  run: (program: string, args: readonly string[], options?: { seconds?: number }) => Promise<string>;
}

export type ActionOf<Kind extends Action['do']> = Extract<Action, { do: Kind }>;

/** Carries out actions of one kind. Executors do not write to the action log; the engine does this for every action. */
export interface Executor<Of extends Action> {
  execute: (context: Context, action: Of) => void | Promise<void>;
}

export type Executors = { readonly [Kind in Action['do']]: Executor<ActionOf<Kind>> };

/** The default timeout, in seconds: enough for mkfs, and for a sync of a full page cache to a slow disk. */
const defaultLimit = 3600;

export function contextOf(tools: Tools): Context {
  return {
    ...tools,
    run: async (program, args, { seconds = defaultLimit } = {}) => {
      const ran = await tools.writer.run(program, args, seconds);
      if (ran.exit === 0) return ran.stdout;
      throw new SystemError(failure([program, ...args].join(' '), ran, seconds));
    },
  };
}

function failure(command: string, { exit, late, stderr }: Ran, seconds: number): string {
  const how = late ? `did not end within ${seconds} s` : `ended with ${exit ?? 'a signal'}`;
  const last = stderr.trim().split('\n').slice(-3).join('; ');
  return `${command} ${how}${last === '' ? '' : `: ${last}`}`;
}
