import { setTimeout as sleep } from 'node:timers/promises';
import { HostError } from '../../lib/errors.ts';
import { lastCursor } from '../../system/journalctl.ts';
import type { SystemReader } from '../../system/reader.ts';
import { parseCursor, reaches } from '../journal/cursor.ts';

const ownUnit = 'immutafs-forward.service';
/** Must be shorter than TimeoutStopSec in units/immutafs-forward.service. */
const deadlineMilliseconds = 30_000;
/** The timeout without progress. A server that does not answer must not delay the shutdown until the deadline. */
const stallMilliseconds = 8000;

/** Whether the whole system is shutting down, not only this service. Also true if systemd no longer answers. */
export async function isShuttingDown(reader: SystemReader): Promise<boolean> {
  const state = (await systemctl(reader, 'is-system-running')).trim();
  return state === '' || state === 'stopping';
}

/** The progress of forwarding. */
export interface DrainProgress {
  /** The cursor of the last acknowledged journal entry. */
  cursor: () => string;
  /** The number of acknowledged journal entries and lines of log files. */
  acknowledged: () => number;
  /** Whether the end of the log was reached and every entry is acknowledged. */
  idle: () => boolean;
  /** Called when no other unit is stopping any more: the log files are complete. */
  complete: () => void;
}

/**
 * At shutdown, waits until no other unit is stopping, so that the last entries of other units are also forwarded, and
 * then until the whole journal is acknowledged. Gives up after 30 s, or after 8 s without progress.
 */
export async function drain(reader: SystemReader, progress: DrainProgress): Promise<void> {
  const deadline = performance.now() + deadlineMilliseconds;
  const moving = stallGuard(progress);
  while (performance.now() < deadline && moving() && (await othersStopping(reader))) await sleep(500);
  // journald may not have read the last entries of other units from its socket yet.
  await sleep(300);
  progress.complete();
  const last = parseCursor((await lastCursor()) ?? '');
  while (performance.now() < deadline && moving() && last !== undefined) {
    const cursor = parseCursor(progress.cursor());
    if (cursor !== undefined && reaches(cursor, last)) break;
    await sleep(50);
  }
  while (performance.now() < deadline && moving() && !progress.idle()) await sleep(50);
}

/**
 * Returns a function that reports whether the server recently acknowledged an entry or a line, or has nothing to
 * acknowledge. The cursor is no sign of progress: it stays where it is while a backlog of log files is sent.
 * @param now returns the milliseconds since an arbitrary point in time
 */
export function stallGuard(
  { acknowledged, idle }: Pick<DrainProgress, 'acknowledged' | 'idle'>,
  now = () => performance.now(),
): () => boolean {
  let before = acknowledged();
  let since = now();
  return () => {
    const time = now();
    if (idle() || acknowledged() !== before) since = time;
    before = acknowledged();
    return time - since < stallMilliseconds;
  };
}

async function othersStopping(reader: SystemReader): Promise<boolean> {
  return hasRunningStop(await systemctl(reader, 'list-jobs', '--no-legend', '--no-pager'));
}

/**
 * Whether a unit other than this service is being stopped now. A stop job that waits for another job does not count.
 * @param jobs lines of `systemctl list-jobs`: JOB UNIT TYPE STATE
 */
export function hasRunningStop(jobs: string): boolean {
  return jobs.split('\n').some((line) => {
    const [, unit, type, state] = line.trim().split(/\s+/);
    return type === 'stop' && state === 'running' && unit !== ownUnit;
  });
}

/** Runs systemctl. @returns its stdout, regardless of the exit code; '' if it cannot be started */
async function systemctl(reader: SystemReader, ...args: string[]): Promise<string> {
  try {
    return (await reader.run('/usr/bin/systemctl', args)).stdout;
  } catch (error) {
    if (error instanceof HostError) return '';
    throw error;
  }
}
