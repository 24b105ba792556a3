import { SystemError, errorCode, errorMessage } from '../lib/errors.ts';
import { childProcess, requireDescriptors, startChild } from './child.ts';

/**
 * Every program that the agent starts and waits for is run by its absolute path, with an argument list, without a
 * shell, in a fixed environment and with a timeout. The working directory is `/`, because the caller's working
 * directory may no longer exist.
 */
const cwd = '/';
const env = { LC_ALL: 'C', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };

/** The result of runProgram. */
export interface Ran {
  /** The exit code; null if the program was terminated by a signal or after the timeout. */
  exit: number | null;
  /** The last 64 KiB of the program's output, one character per byte (latin1). */
  stdout: string;
  stderr: string;
  /** Whether the program was terminated after the timeout. */
  late: boolean;
}

const keptCharacters = 65536;

/**
 * Runs a program and waits until it exits. The size of its output is not limited.
 * @param seconds the timeout, after which the program receives SIGTERM and, five seconds later, SIGKILL
 * @param output receives stdout as it arrives, one character per byte (latin1)
 * @param stop terminates the program in the same way before the timeout
 * @throws SystemError if the program cannot be started
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  seconds: number,
  output: (text: string) => void = () => undefined,
  stop?: AbortSignal,
): Promise<Ran> {
  requireDescriptors(program);
  // Loaded only when needed, because loading execa takes longer than running `status`.
  const { execa } = await import('execa');
  requireDescriptors(program);
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
    throw new SystemError(`${program}: ${shortMessage}`, code);
  }
  return { exit: exitCode ?? null, ...last, late: timedOut };
}

function notStarted(program: string, error: Error): SystemError {
  return new SystemError(`${program}: ${errorMessage(error)}`, errorCode(error));
}

/** The result of runChild. */
export interface Ended {
  /** One character per byte (latin1). */
  stdout: string;
  /**
   * `good`: exit code 0. `bad`: another exit code, or a signal. `deadline`: abandoned at the deadline. `full`: killed
   * after more than 16 MiB of output.
   */
  ended: 'good' | 'bad' | 'deadline' | 'full';
}

interface ChildOptions {
  /** Receives stdout as it arrives, one character per byte (latin1); stdout is then neither kept nor limited. */
  output?: ((text: string) => void) | undefined;
  /** The working directory; `/` by default. */
  cwd?: string;
}

/** The time for events that were pending at the deadline, in milliseconds. */
const graceAfterDeadline = 100;

/** The limit for stdout. No program that is run in this way prints as much. */
const mostBytes = 16 * 1024 * 1024;

/**
 * Runs a program that may hang, and returns its stdout. At the deadline, the program receives SIGKILL and is abandoned,
 * because a process that waits for an unreachable server or a frozen file system may not exit even then. execa is not
 * suitable, because it waits until the process exits and because `status` would take longer to load it than to run.
 * @param deadline the time until the program is abandoned, in milliseconds
 * @returns stdout, which may be truncated, and how the program ended
 * @throws SystemError if the program cannot be started
 */
export async function runChild(
  program: string,
  args: readonly string[],
  deadline: number,
  { output, cwd: directory = cwd }: ChildOptions = {},
): Promise<Ended> {
  const child = startChild(program, args, {
    cwd: directory,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    // Run in a new session, so that a signal to the agent's process group does not kill the child before it cleans up.
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
    // After a synchronous read that took long, timers run before the program's output and end are noticed.
    let timer = setTimeout(() => {
      timer = setTimeout(() => abandon('deadline'), graceAfterDeadline);
    }, deadline);
    child.stdout.on('data', (part: Buffer) => {
      if (output !== undefined) {
        output(part.toString('latin1'));
        return;
      }
      bytes += part.length;
      if (bytes <= mostBytes) parts.push(part);
      else abandon('full');
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(notStarted(program, error));
    });
    child.on('close', (code) => end(code === 0 ? 'good' : 'bad'));
  });
}

/** The timeout of `runSync`, in milliseconds. */
const syncTimeout = 10_000;

interface SyncOptions {
  /** As for child_process.spawnSync. By default, all three streams are /dev/null. */
  stdio?: 'ignore' | ('ignore' | 'pipe' | number)[];
  uid?: number;
  gid?: number;
}

/**
 * Runs a short program synchronously.
 * @returns the exit code, or null if a signal terminated the program; the error if the program could not be started or
 *     did not exit within 10 s; and stdout and stderr, one character per byte (latin1), each empty unless it is a pipe
 */
export function runSync(
  program: string,
  args: readonly string[],
  { stdio = 'ignore', ...user }: SyncOptions = {},
): { exit: number | null; error: Error | undefined; stdout: string; stderr: string } {
  const ran = childProcess().spawnSync(program, args, {
    ...{ cwd, env, stdio, ...user },
    timeout: syncTimeout,
    killSignal: 'SIGKILL',
    encoding: 'latin1',
  });
  // Without a pipe, or if the program could not be started, Node.js returns null for a stream.
  const textOf = (stream: string | null) => stream ?? '';
  return { exit: ran.status, error: ran.error, stdout: textOf(ran.stdout), stderr: textOf(ran.stderr) };
}
