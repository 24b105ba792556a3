import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseCursor, reaches } from '../journal/cursor.ts';
import { lastCursor } from '../journal/journalctl.ts';

export const ownUnit = 'immutafs-forward.service';
/** Shorter than TimeoutStopSec in units/immutafs-forward.service. */
export const deadlineMilliseconds = 30_000;
/** A server that does not answer must not hold up the shutdown until the deadline. */
const stallMilliseconds = 8000;

/** Whether the system, and not only this service, is being stopped; also where systemd does not answer any more. */
export async function isShutdown(): Promise<boolean> {
  const said = (await systemctl('is-system-running')).trim();
  return said === '' || said === 'stopping';
}

/** What is to be drained. */
export interface Draining {
  /** The last acknowledged entry's cursor. */
  cursor: () => string;
  /** Whether all that was read is acknowledged. */
  idle: () => boolean;
}

/**
 * Waits at shutdown until nobody but this service is still being stopped, so that what others say as they stop
 * is forwarded too, and then until what the journal has is acknowledged. Gives up where nothing moves on.
 */
export async function drained(work: Draining, deadline: number): Promise<void> {
  const moving = stallGuard(work);
  while (performance.now() < deadline && moving() && (await othersStopping())) await sleep(500);
  // What they wrote last is still on its way through journald's socket.
  await sleep(300);
  const last = parseCursor((await lastCursor()) ?? '');
  while (performance.now() < deadline && moving() && last !== undefined) {
    const cursor = parseCursor(work.cursor());
    if (cursor !== undefined && reaches(cursor, last)) return;
    await sleep(50);
  }
}

/** @returns whether the server has acknowledged something lately, or has nothing to acknowledge */
function stallGuard({ cursor, idle }: Draining): () => boolean {
  let before = cursor();
  let since = performance.now();
  return () => {
    const now = performance.now();
    if (idle() || cursor() !== before) since = now;
    before = cursor();
    return now - since < stallMilliseconds;
  };
}

async function othersStopping(): Promise<boolean> {
  return hasRunningStop(await systemctl('list-jobs', '--no-legend', '--no-pager'));
}

/**
 * Whether a unit other than this service is being stopped now; one that waits for another's end is not.
 * @param jobs lines of `systemctl list-jobs`: JOB UNIT TYPE STATE
 */
export function hasRunningStop(jobs: string): boolean {
  return jobs.split('\n').some((line) => {
    const [, unit, type, state] = line.trim().split(/\s+/);
    return type === 'stop' && state === 'running' && unit !== ownUnit;
  });
}

/** Its output, or '' where it fails. */
function systemctl(...args: string[]): Promise<string> {
  const child = spawn('/usr/bin/systemctl', args, { stdio: ['ignore', 'pipe', 'ignore'], timeout: 5000 });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('latin1')).slice(0, 1024 * 1024);
  });
  return new Promise((resolve) => {
    child.on('error', () => resolve(''));
    child.on('close', () => resolve(said));
  });
}
