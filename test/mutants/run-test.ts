import { spawn } from 'node:child_process';

/**
 * Runs a test until its first case fails.
 * @param seconds time limit; a test that exceeds it has failed
 */
export function passes(
  test: string,
  args: readonly string[],
  more: Readonly<Record<string, string>>,
  seconds: number,
): Promise<boolean> {
  const env = { ...process.env, ...more };
  const child = spawn(process.execPath, [...args, test], {
    ...{
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
      signal: AbortSignal.timeout(Math.ceil(seconds * 1000)),
    },
  });
  const end = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // The group has no processes left.
    }
  };
  let failed = false;
  let output = '';
  child.stdout.on('data', (part: Buffer) => {
    output += part.toString();
    if (!output.includes('✘')) return;
    failed = true;
    end();
  });
  process.once('exit', end);
  return new Promise((resolve) => {
    child.once('error', () => {
      failed = true;
      end();
    });
    child.once('exit', end);
    child.once('close', (code) => {
      process.off('exit', end);
      resolve(!failed && code === 0 && /Total: +[1-9]/.test(output));
    });
  });
}
