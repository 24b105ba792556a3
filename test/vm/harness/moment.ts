import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A moment in a guest's run: a number of milliseconds, in this machine's time, after the console has a number of lines
 * or matches a pattern. The console shows the guest's progress independently of this machine's load.
 */
export interface Moment {
  after: number | RegExp;
  milliseconds: number;
}

/** Interval between two reads of the console. */
const pollMilliseconds = 50;

/**
 * Waits for a moment.
 *
 * @param readConsole returns the current text of the console
 * @param ended aborted when the guest ends
 * @returns false if the guest ends before the moment
 */
export async function until(
  moment: Moment,
  readConsole: () => Promise<string>,
  ended: AbortSignal,
): Promise<boolean> {
  try {
    while (!isReached(moment, await readConsole()))
      await sleep(pollMilliseconds, undefined, { signal: ended });
    await sleep(moment.milliseconds, undefined, { signal: ended });
    return true;
  } catch (error) {
    if (ended.aborted) return false;
    throw error;
  }
}

function isReached({ after }: Moment, console: string): boolean {
  return typeof after === 'number' ? console.split('\n').length > after : after.test(console);
}
