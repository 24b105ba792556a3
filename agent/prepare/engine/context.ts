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
   * @throws SystemError with the last lines of stderr if the program failed or exceeded its timeout; EINTR after a signal
   */
  run: (program: string, args: readonly string[], options?: RunOptions) => Promise<string>;
  /** Runs a program like `run`, but even after a signal. Intended for cleanup. */
  runAlways: Context['run'];
  /** Runs a program and accepts any exit code. A signal ends the program. @throws SystemError EINTR after a signal */
  runAbortable: (program: string, args: readonly string[], options?: RunOptions) => Promise<Ran>;
  /**
   * Makes SIGINT, SIGTERM and SIGHUP end the program of `runAbortable` and make `checkAborted` throw, instead of ending
   * this process, until the end of the step.
   */
  abortOnSignals: () => void;
  /** @throws SystemError EINTR after a signal */
  checkAborted: () => void;
  /**
   * Returns a value that several actions of a step share. The first call with a given function runs the function; later
   * calls return the same value. The value is closed at the end of the step, even after an error.
   */
  shared: <T>(open: Open<T>) => Promise<T>;
}

interface RunOptions {
  /** The timeout, after which the program is ended. The default is one hour. */
  seconds?: number;
  /** Receives stdout as it is written, one character per byte. */
  output?: ((text: string) => void) | undefined;
}

type Open<T> = (context: Context) => Promise<Shared<T>>;

export interface Shared<T> {
  value: T;
  close?: () => Promise<void>;
}

export type ActionOf<Kind extends Action['do']> = Extract<Action, { do: Kind }>;

/** Carries out actions of one kind. Executors do not write to the action log; the engine does this for every action. */
export interface Executor<Of extends Action> {
  /** Adds values that are known only when the action begins. The returned action is logged and carried out. */
  complete?: (context: Context, action: Of) => Promise<Of>;
  execute: (context: Context, action: Of) => void | Promise<void>;
  /**
   * Reverts the action for --undo. An action without this function is reverted by restoring its file.
   * @returns what was reverted, for the user
   * @throws SystemError if it cannot be reverted now; the entry then stays in the action log
   */
  revert?: (context: Context, action: Of) => Promise<string>;
}

export type Executors = { readonly [Kind in Action['do']]: Executor<ActionOf<Kind>> };

/**
 * Thrown by an executor if the guest is not in the state that the plan assumes. The engine plans the step again, once.
 */
export class PlanOutdated extends SystemError {}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The default timeout, in seconds: enough for mkfs, and for a sync of a full page cache to a slow disk. */
const defaultLimit = 3600;

/** Calls `work` with the context of one step, and closes the shared values afterwards. */
export async function withContext<T>(tools: Tools, work: (context: Context) => Promise<T>): Promise<T> {
  const { writer } = tools;
  const abort = new AbortController();
  const onSignal = (signal: string) => abort.abort(signal);
  const opened = new Map<unknown, Shared<unknown>>();
  const checkAborted = () => {
    if (abort.signal.aborted) throw new SystemError(`interrupted by ${String(abort.signal.reason)}`, 'EINTR');
  };
  const runAlways: Context['run'] = async (program, args, { seconds = defaultLimit, output } = {}) => {
    const ran = await writer.run(program, args, seconds, output);
    if (ran.exit === 0) return ran.stdout;
    throw new SystemError(failure([program, ...args].join(' '), ran, seconds));
  };
  const context: Context = {
    ...tools,
    checkAborted,
    runAlways,
    run: async (...all) => {
      checkAborted();
      return runAlways(...all);
    },
    runAbortable: async (program, args, { seconds = defaultLimit, output } = {}) => {
      checkAborted();
      const ran = await writer.run(program, args, seconds, output, abort.signal);
      checkAborted();
      return ran;
    },
    abortOnSignals: () => {
      for (const signal of signals) process.on(signal, onSignal);
    },
    shared: async <T>(open: Open<T>) => {
      const known = opened.get(open);
      if (known !== undefined) return known.value as T;
      const shared = await open(context);
      opened.set(open, shared);
      return shared.value;
    },
  };
  try {
    return await work(context);
  } finally {
    try {
      for (const { close } of [...opened.values()].toReversed()) await close?.();
    } finally {
      for (const signal of signals) process.off(signal, onSignal);
    }
  }
}

function failure(command: string, { exit, late, stderr }: Ran, seconds: number): string {
  const how = late ? `did not end within ${seconds} s` : `ended with ${exit ?? 'a signal'}`;
  const last = stderr.trim().split('\n').slice(-3).join('; ');
  return `${command} ${how}${last === '' ? '' : `: ${last}`}`;
}
