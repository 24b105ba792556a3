import { HostError } from '../../lib/errors.ts';
import type { Ran } from '../../system/writer.ts';
import type { Doing } from '../engine/context.ts';

/** What a move works with: a `Doing` that a signal stops. */
export interface Move extends Omit<Doing, 'run'> {
  /** Runs a program, however it ends. @throws HostError EINTR at and after a signal */
  run: (
    program: string,
    args: readonly string[],
    seconds: number,
    output?: (text: string) => void,
  ) => Promise<Ran>;
  /** Runs one that must succeed, quickly. @throws HostError with what it said */
  must: (program: string, ...args: string[]) => Promise<string>;
  /** The same, after a signal too: for what puts things in order. */
  always: (program: string, ...args: string[]) => Promise<string>;
  /** For what runs in this process. @throws HostError EINTR after a signal */
  expectGoing: () => void;
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Enough for mkfs and for a sync of a full cache to a slow disk. */
const quick = 3600;

/**
 * Calls `work`, which a signal stops where it may be stopped: at the next program, or in the middle of one.
 * @throws HostError EINTR after a signal
 */
export async function interruptibly<T>(doing: Doing, work: (move: Move) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = (signal: string) => stop.abort(signal);
  for (const signal of signals) process.on(signal, onSignal);
  try {
    return await work(moveOf(doing, stop.signal));
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

function moveOf(doing: Doing, stop: AbortSignal): Move {
  const stopped = () => {
    if (stop.aborted) throw new HostError(`interrupted by ${String(stop.reason)}`, 'EINTR');
  };
  const always = async (program: string, ...args: string[]): Promise<string> =>
    (await doing.run(program, args, { seconds: quick })).stdout;
  return {
    ...doing,
    run: async (program, args, seconds, output) => {
      stopped();
      const ran = await doing.writer.run(program, args, seconds, output, stop);
      stopped();
      return ran;
    },
    must: async (program, ...args) => {
      stopped();
      return always(program, ...args);
    },
    always,
    expectGoing: stopped,
  };
}
