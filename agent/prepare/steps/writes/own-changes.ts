import type { ActionLog } from '../../engine/action-log.ts';
import type { Period } from '../packages.ts';

/** The resolution of file times (the kernel's tick), in seconds. */
const tolerance = 1;
/** The period of an action that was interrupted, so that its end is unknown, in seconds. */
const interruptedSeconds = 60;
/** Actions that can take hours and change nothing on the file systems to be sealed but /home. */
const long: readonly string[] = ['copy-home', 'verify-home', 'purge-home', 'move-home'];

/**
 * Returns the periods in which `prepare` carried out an action, from its action log, in seconds since the epoch. What
 * changed on the disk in such a period is a result of `prepare`. Most actions take milliseconds, and those that run
 * programs take seconds.
 */
export function ownPeriods(log: ActionLog): Period[] {
  return log.flatMap(({ began, ended, action }) => {
    const from = Date.parse(began) / 1000;
    const to = ended === null ? from + interruptedSeconds : Date.parse(ended) / 1000;
    if (Number.isNaN(from) || Number.isNaN(to) || long.includes(action.do)) return [];
    return [{ from: from - tolerance, to: to + tolerance }];
  });
}
