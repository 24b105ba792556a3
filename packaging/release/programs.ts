import { execFileSync } from 'node:child_process';
import path from 'node:path';

/**
 * Runs a program of the build machine and returns its output.
 * @throws Error with the last lines of the program's messages, if it fails or cannot be started
 */
export function runProgram(
  command: string,
  args: readonly string[],
  { cwd, env = {} }: { cwd?: string; env?: Record<string, string | undefined> } = {},
): string {
  try {
    return execFileSync(command, args, {
      cwd,
      env: { ...process.env, LC_ALL: 'C.UTF-8', ...env },
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
    const lines = `${stdout}${stderr}`.trimEnd().split('\n').slice(-15).join('\n');
    throw new Error(`${path.basename(command)} ${args[0]} failed: ${lines || String(error)}`, {
      cause: error,
    });
  }
}
