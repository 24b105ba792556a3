import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';

const groups = new Set<number>();
const graceSeconds = 5;
/** A nice value (setpriority(2)). */
const lowerPriority = 5;

export interface Ended {
  /** null where a signal ended the program. */
  code: number | null;
  signal: NodeJS.Signals | null;
  timedOut: boolean;
  /** stdout and stderr, in the order of arrival. */
  output: string;
}

export interface RunOptions {
  /** Time limit. */
  seconds: number;
  /** Runs at a lower priority. */
  yielding?: boolean;
}

/**
 * Runs a program as the leader of a process group of its own, without a stdin. All processes of the group are killed
 * when the program ends, and when its time is up.
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

/** The kernel ignores nice values between sessions where it groups each session's processes (sched(7), autogroup). */
function lowerPriorityOf(session: number): void {
  os.setPriority(session, lowerPriority);
  try {
    fs.writeFileSync(`/proc/${session}/autogroup`, String(lowerPriority));
  } catch {
    // A kernel without autogroup.
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
    // The group has no process any more.
  }
}
