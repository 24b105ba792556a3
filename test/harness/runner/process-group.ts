import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';

const groups = new Set<number>();
const graceSeconds = 5;
/** The nice value of processes at lower priority (setpriority(2)). */
const lowerPriority = 5;

export interface Ended {
  /** Exit code; null if a signal ended the program. */
  code: number | null;
  signal: NodeJS.Signals | null;
  timedOut: boolean;
  /** stdout and stderr, in the order of arrival. */
  output: string;
}

export interface RunOptions {
  /** Time limit. */
  seconds: number;
  /** Runs the program at lower priority. */
  yielding?: boolean;
}

/**
 * Runs a program as the leader of a new process group, without stdin. All processes of the group are killed when the
 * program ends or exceeds the time limit.
 */
export async function runInGroup(
  program: string,
  args: readonly string[],
  folder: string,
  { seconds, yielding = false }: RunOptions,
): Promise<Ended> {
  const child = spawn(program, args, { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const group = child.pid;
  if (group !== undefined) {
    groups.add(group);
    if (yielding) lowerPriorityOf(group);
  }
  const output: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => output.push(part));
  child.stderr.on('data', (part: Buffer) => output.push(part));
  let timedOut = false;
  const timers = [
    setTimeout(() => {
      timedOut = true;
      endGroup(group, 'SIGTERM');
    }, seconds * 1000),
    setTimeout(() => endGroup(group, 'SIGKILL'), (seconds + graceSeconds) * 1000),
  ];
  child.on('exit', () => endGroup(group, 'SIGKILL'));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      timers.forEach(clearTimeout);
      if (group !== undefined) groups.delete(group);
      resolve({ code, signal, timedOut, output: Buffer.concat(output).toString() });
    });
  });
}

/**
 * Lowers the priority of a session's autogroup, because with autogrouping the kernel ignores nice values between
 * sessions (sched(7)).
 */
function lowerPriorityOf(session: number): void {
  try {
    os.setPriority(session, lowerPriority);
    fs.writeFileSync(`/proc/${session}/autogroup`, String(lowerPriority));
  } catch {
    // The kernel has no autogroups, or this process already has a lower priority and may not raise it.
  }
}

export function endEveryGroup(): void {
  for (const group of groups) endGroup(group, 'SIGTERM');
}

function endGroup(group: number | undefined, signal: NodeJS.Signals): void {
  if (group === undefined) return;
  try {
    process.kill(-group, signal);
  } catch {
    // The group has no processes left.
  }
}
