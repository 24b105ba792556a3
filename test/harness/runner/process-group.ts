import { spawn } from 'node:child_process';

const groups = new Set<number>();
const graceSeconds = 5;

export interface Ended {
  /** Exit code; null if a signal ended the program. */
  code: number | null;
  signal: NodeJS.Signals | null;
  timedOut: boolean;
  /** stdout and stderr, in the order of arrival. */
  output: string;
}

/**
 * Runs a program as the leader of a new process group, without stdin. All processes of the group are killed when the
 * program ends or exceeds the time limit.
 */
export async function runInGroup(
  program: string,
  args: readonly string[],
  folder: string,
  seconds: number,
): Promise<Ended> {
  const child = spawn(program, args, { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const group = child.pid;
  if (group !== undefined) groups.add(group);
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
