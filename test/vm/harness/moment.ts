import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A moment in a guest's life: so long after its console has so many lines, or has said something. That is the guest's
 * own progress, the same on a machine that is busy; the time after it is this machine's.
 */
export interface Moment {
  after: number | RegExp;
  milliseconds: number;
}

/** How often the console is looked at. */
const pollMilliseconds = 50;

/**
 * Waits for a moment.
 *
 * @param said what the console has now
 * @param ended the guest's end
 * @returns false if the guest ends before
 */
export async function until(
  moment: Moment,
  said: () => Promise<string>,
  ended: AbortSignal,
): Promise<boolean> {
  try {
    while (!hasCome(moment, await said())) await sleep(pollMilliseconds, undefined, { signal: ended });
    await sleep(moment.milliseconds, undefined, { signal: ended });
    return true;
  } catch (error) {
    if (ended.aborted) return false;
    throw error;
  }
}

function hasCome({ after }: Moment, said: string): boolean {
  return typeof after === 'number' ? said.split('\n').length > after : after.test(said);
}
