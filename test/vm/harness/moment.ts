import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A moment in a guest's life: so long after its console has so many lines. Lines are the guest's own progress, the
 * same on a machine that is busy; the time after them is this machine's.
 */
export interface Moment {
  lines: number;
  milliseconds: number;
}

/** How often the console is looked at. */
const pollMilliseconds = 50;

/**
 * Waits for a moment.
 *
 * @param lines how many lines the console has now
 * @param ended the guest's end
 * @returns false if the guest ends before
 */
export async function until(
  moment: Moment,
  lines: () => Promise<number>,
  ended: AbortSignal,
): Promise<boolean> {
  try {
    while ((await lines()) < moment.lines) await sleep(pollMilliseconds, undefined, { signal: ended });
    await sleep(moment.milliseconds, undefined, { signal: ended });
    return true;
  } catch (error) {
    if (ended.aborted) return false;
    throw error;
  }
}
