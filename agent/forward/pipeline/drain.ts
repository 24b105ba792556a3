import { setTimeout as sleep } from 'node:timers/promises';
import { SystemError, unlessSystemError } from '../../lib/errors.ts';
import { lastCursor } from '../../system/journalctl.ts';
import type { SystemReader } from '../../system/reader.ts';
import { parseCursor, reaches } from '../../lib/journal-export/cursor.ts';

const ownUnit = 'immutafs-forward.service';
/** systemd starts it in every shutdown, and it waits until all other units have stopped. */
const shutdownTarget = 'shutdown.target';
/** Must be shorter than TimeoutStopSec in units/immutafs-forward.service. */
const deadlineMilliseconds = 30_000;
/** The timeout without progress. A server that does not answer must not delay the shutdown until the deadline. */
const stallMilliseconds = 8000;

/** How long the journal must be unchanged, if systemd does not say whether other units are still stopping. */
const quietMilliseconds = 5000;
/** The timeout of systemctl. It takes some milliseconds if systemd answers. */
const systemctlMilliseconds = 3000;

/**
 * Whether the whole system is shutting down, not only this service. Only a definite answer means no: also true if systemd
 * does not answer, or if a policy does not let systemctl find out whether systemd is running.
 */
export async function isShuttingDown(reader: SystemReader): Promise<boolean> {
  if (!isService(reader)) return false;
  const jobs = await listJobs(reader);
  return jobs === undefined || jobs.some(({ unit, type }) => unit === shutdownTarget && type === 'start');
}

/** Whether systemd runs this process as the service. Nothing else stops it in an orderly way at shutdown. */
function isService(reader: SystemReader): boolean {
  const cgroups = unlessSystemError(() => reader.readIfPresent('/proc/self/cgroup'));
  return cgroups === undefined || cgroups.includes(`/${ownUnit}`);
}

interface DrainProgress {
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
 * then until the whole journal is acknowledged. Gives up after 30 s, or after 8 s without progress. If systemd does not
 * say which units are stopping, waits until nothing was logged for 5 s.
 */
export async function drain(reader: SystemReader, progress: DrainProgress): Promise<void> {
  const deadline = performance.now() + deadlineMilliseconds;
  const moving = stallGuard(progress);
  const quiet = quietGuard();
  while (performance.now() < deadline && moving() && (await othersStopping(reader, quiet))) await sleep(500);
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

/** Returns a function that reports whether the last entry of the journal has been the same for 5 s. */
export function quietGuard(now = () => performance.now()): (cursor: string | undefined) => boolean {
  let [before, since] = ['', now()];
  return (cursor) => {
    const time = now();
    if (cursor !== undefined && cursor !== before) [before, since] = [cursor, time];
    return time - since >= quietMilliseconds;
  };
}

/** Whether a unit other than this service is being stopped now. A stop job that waits for another job does not count. */
async function othersStopping(reader: SystemReader, quiet: ReturnType<typeof quietGuard>): Promise<boolean> {
  const jobs = await listJobs(reader);
  if (jobs === undefined) return !quiet(await lastCursor());
  return jobs.some(({ unit, type, state }) => type === 'stop' && state === 'running' && unit !== ownUnit);
}

/**
 * Returns the jobs of systemd while it stops this service; undefined if it does not answer. An answer names the job that
 * stops or restarts this service: in what it takes for a chroot, systemctl prints nothing, successfully.
 */
async function listJobs(reader: SystemReader) {
  const args = ['list-jobs', '--full', '--no-legend', '--no-pager'];
  try {
    const { stdout, ended } = await reader.run('/usr/bin/systemctl', args, systemctlMilliseconds);
    const jobs = stdout.split('\n').map((line) => {
      const [, unit = '', type = '', state = ''] = line.trim().split(/\s+/);
      return { unit, type, state };
    });
    return ended === 'good' && jobs.some(({ unit }) => unit === ownUnit) ? jobs : undefined;
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
