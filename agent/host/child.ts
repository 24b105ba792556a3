import { HostError } from '../errors.ts';

/**
 * Runs a program without a shell and gives its stdout, for what may hang or what Node has no call for. At the
 * deadline it is left behind: a process that waits for a dead server may not even end on SIGKILL.
 * @param deadline milliseconds
 * @returns stdout, perhaps only its beginning, and why it ended
 */
export async function runChild(program: string, args: readonly string[], deadline: number): Promise<Ended> {
  // Most runs start no child, and loading what could takes a third of their time.
  const { execa } = await import('execa');
  const child = execa(program, args, {
    // Not where the caller stands: that folder may be gone.
    cwd: '/',
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'ignore',
    reject: false,
    buffer: false,
    // Its own session: what ends the agent does not end it, so that it cleans up after itself.
    detached: true,
    cleanup: false,
    env: { LC_ALL: 'C', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    extendEnv: false,
  });
  let stdout = '';
  child.stdout.on('data', (part: Buffer) => {
    stdout += part.toString('latin1');
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'deadline'>((resolve) => {
    timer = setTimeout(() => resolve('deadline'), deadline);
  });
  const result = await Promise.race([child, late]);
  clearTimeout(timer);
  if (result !== 'deadline') {
    if (result.exitCode === undefined && result.signal === undefined) {
      throw new HostError(`${program}: ${result.shortMessage}`, result.code);
    }
    return { stdout, ended: result.exitCode === 0 ? 'good' : 'bad' };
  }
  child.kill('SIGKILL');
  child.unref();
  child.stdout.destroy();
  return { stdout, ended: 'deadline' };
}

export interface Ended {
  /** One character a byte. */
  stdout: string;
  ended: 'good' | 'bad' | 'deadline';
}
