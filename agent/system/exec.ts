import { spawn, spawnSync } from 'node:child_process';
import { HostError, errorCode, errorMessage } from '../lib/errors.ts';

/**
 * Every program that the agent starts and waits for: absolute path, argument list, no shell, an environment of its own,
 * and a time limit. `/` is the working directory, since the caller's may be gone.
 */
const cwd = '/';
const env = { LC_ALL: 'C', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };

/** The result of runProgram. */
export interface Ran {
  /** The exit code; null if a signal or the time limit ended the program. */
  exit: number | null;
  /** The last 64 KiB of its output, one character a byte. */
  stdout: string;
  stderr: string;
  /** Whether the time limit ended the program. */
  late: boolean;
}

const keptCharacters = 65536;

/**
 * Runs a program to its end, whatever the size of its output.
 * @param seconds the time limit: then the program gets SIGTERM, and SIGKILL five seconds later
 * @param output receives stdout as it arrives, one character a byte
 * @param stop ends the program earlier, in the same way
 * @throws HostError if the program cannot be started
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  seconds: number,
  output: (text: string) => void = () => undefined,
  stop?: AbortSignal,
): Promise<Ran> {
  // Loaded here: it takes longer to load than `status` takes to answer.
  const { execa } = await import('execa');
  const child = execa(program, args, {
    cwd,
    stdin: 'ignore',
    reject: false,
    buffer: false,
    timeout: seconds * 1000,
    ...(stop === undefined ? {} : { cancelSignal: stop }),
    env: { ...env, HOME: '/root', TERM: 'dumb' },
    extendEnv: false,
  });
  const last = { stdout: '', stderr: '' };
  child.stdout.on('data', (part: Buffer) => {
    const text = part.toString('latin1');
    last.stdout = (last.stdout + text).slice(-keptCharacters);
    output(text);
  });
  child.stderr.on('data', (part: Buffer) => {
    last.stderr = (last.stderr + part.toString('latin1')).slice(-keptCharacters);
  });
  const { exitCode, signal, timedOut, isCanceled, shortMessage, code } = await child;
  if (exitCode === undefined && signal === undefined && !timedOut && !isCanceled) {
    throw new HostError(`${program}: ${shortMessage}`, code);
  }
  return { exit: exitCode ?? null, ...last, late: timedOut };
}

/** The result of runChild. */
export interface Ended {
  /** One character a byte. */
  stdout: string;
  /** `good`: exit code 0. `deadline`: abandoned at the deadline. `full`: killed after more than 16 MiB of output. */
  ended: 'good' | 'bad' | 'deadline' | 'full';
}

/** More than the output of any program that is run in this way. */
const mostBytes = 16 * 1024 * 1024;

/**
 * Runs a program that may hang, and returns its stdout. At the deadline the program gets SIGKILL and is abandoned: a
 * process that waits for a dead server or for a frozen file system may not even end on SIGKILL. That is why this is not
 * done with execa, whose result waits for the end of the process; and `status` cannot wait for execa to load.
 * @param deadline milliseconds
 * @returns stdout, possibly only its beginning, and how the program ended
 * @throws HostError if the program cannot be started
 */
export async function runChild(program: string, args: readonly string[], deadline: number): Promise<Ended> {
  const child = spawn(program, args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    // A session of its own: a signal that ends the agent does not end a child before it has cleaned up.
    detached: true,
  });
  const parts: Buffer[] = [];
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const end = (ended: Ended['ended']) => {
      clearTimeout(timer);
      resolve({ stdout: Buffer.concat(parts).toString('latin1'), ended });
    };
    const abandon = (ended: Ended['ended']) => {
      child.kill('SIGKILL');
      child.unref();
      child.stdout.destroy();
      end(ended);
    };
    const timer = setTimeout(() => abandon('deadline'), deadline);
    child.stdout.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes <= mostBytes) parts.push(part);
      else abandon('full');
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new HostError(`${program}: ${errorMessage(error)}`, errorCode(error)));
    });
    child.on('close', (code) => end(code === 0 ? 'good' : 'bad'));
  });
}

/** Milliseconds. */
const syncTimeout = 10_000;

export interface SyncOptions {
  /** As for child_process.spawnSync; by default all three are /dev/null. */
  stdio?: 'ignore' | ('ignore' | number)[];
  uid?: number;
  gid?: number;
}

/**
 * Runs a program that ends at once, and waits for it.
 * @returns its exit code, null if a signal ended it; or why it could not be started or did not end within 10 s
 */
export function runSync(
  program: string,
  args: readonly string[],
  { stdio = 'ignore', ...user }: SyncOptions = {},
): { exit: number | null; error: Error | undefined } {
  const { status, error } = spawnSync(program, args, {
    ...{ cwd, env, stdio, ...user },
    timeout: syncTimeout,
    killSignal: 'SIGKILL',
  });
  return { exit: status, error };
}
