import { execa } from 'execa';
import { HostError } from '../lib/errors.ts';

/** How a program ended. */
export interface Ran {
  /** Its exit code; null where a signal or the deadline ended it. */
  exit: number | null;
  /** The last 64 KiB of what it wrote, one character a byte. */
  stdout: string;
  stderr: string;
  late: boolean;
}

const kept = 65536;

/**
 * Runs a program without a shell, however much it writes.
 * @param seconds then it gets SIGTERM, and five seconds later SIGKILL
 * @param output gets what it writes to stdout as it comes
 * @param stop ends it earlier, in the same way
 * @throws HostError where it cannot be started
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  seconds: number,
  output: (text: string) => void = () => undefined,
  stop?: AbortSignal,
): Promise<Ran> {
  const child = execa(program, args, {
    cwd: '/',
    stdin: 'ignore',
    reject: false,
    buffer: false,
    timeout: seconds * 1000,
    ...(stop === undefined ? {} : { cancelSignal: stop }),
    env: { LC_ALL: 'C', PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', TERM: 'dumb' },
    extendEnv: false,
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (part: Buffer) => {
    const text = part.toString('latin1');
    said.stdout = (said.stdout + text).slice(-kept);
    output(text);
  });
  child.stderr.on('data', (part: Buffer) => {
    said.stderr = (said.stderr + part.toString('latin1')).slice(-kept);
  });
  const result = await child;
  if (
    result.exitCode === undefined &&
    result.signal === undefined &&
    !result.timedOut &&
    !result.isCanceled
  ) {
    throw new HostError(`${program}: ${result.shortMessage}`, result.code);
  }
  return { exit: result.exitCode ?? null, ...said, late: result.timedOut };
}
