import { spawn } from 'node:child_process';
import { HostError, errorCode, errorMessage } from '../lib/errors.ts';

/** More than what any program that is run in this way has to say. */
const mostBytes = 16 * 1024 * 1024;

/**
 * Runs a program without a shell and gives its stdout, for what may hang or what Node has no call for. At the
 * deadline it is left behind: a process that waits for a dead server, or for a frozen file system, may not even end
 * on SIGKILL.
 * @param deadline milliseconds
 * @returns stdout, perhaps only its beginning, and why it ended
 * @throws HostError where it cannot be started
 */
export async function runChild(program: string, args: readonly string[], deadline: number): Promise<Ended> {
  const child = spawn(program, args, {
    // Not where the caller stands: that folder may be gone.
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore'],
    // Its own session: what ends the agent does not end it, so that it cleans up after itself.
    detached: true,
    env: { LC_ALL: 'C', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  const parts: Buffer[] = [];
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const end = (ended: Ended['ended']) => {
      clearTimeout(timer);
      resolve({ stdout: Buffer.concat(parts).toString('latin1'), ended });
    };
    const leaveBehind = (ended: Ended['ended']) => {
      child.kill('SIGKILL');
      child.unref();
      child.stdout.destroy();
      end(ended);
    };
    const timer = setTimeout(() => leaveBehind('deadline'), deadline);
    child.stdout.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes <= mostBytes) parts.push(part);
      else leaveBehind('full');
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new HostError(`${program}: ${errorMessage(error)}`, errorCode(error)));
    });
    child.on('close', (code) => end(code === 0 ? 'good' : 'bad'));
  });
}

export interface Ended {
  /** One character a byte. */
  stdout: string;
  /** `full`: it was ended since it wrote more than 16 MiB. */
  ended: 'good' | 'bad' | 'deadline' | 'full';
}
