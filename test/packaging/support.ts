import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';

/** The version in package.json, and the same as rpm writes it. */
export const { version } = JSON.parse(readFileSync(inRoot('package.json'), 'utf8')) as { version: string };
export const rpmVersion = version.replaceAll('-', '~');

export interface Outcome {
  /** Exit code; null if a signal ended the command. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a command for at most 120 s.
 * @throws Error if the command cannot be started or takes longer
 */
export function run(command: string, args: readonly string[], env: Record<string, string> = {}): Outcome {
  const options = { env: { ...process.env, LC_ALL: 'C.UTF-8', ...env }, timeout: 120_000 } as const;
  const { status, stdout, stderr, error } = spawnSync(command, args, { ...options, encoding: 'utf8' });
  if (error !== undefined) throw error;
  return { code: status, stdout, stderr };
}

/** Runs a command with the private runtime `libraries`, by default dist/lib. */
export function runDist(args: readonly string[], { env = {}, libraries = '' } = {}): Outcome {
  const chosen = libraries === '' ? [] : ['-l', libraries];
  return run('sh', [inRoot('packaging/build/run-dist.sh'), ...chosen, ...args], env);
}

/** Asserts that a command succeeded and printed nothing. */
export function assertQuiet(outcome: Outcome): void {
  assert.equal(outcome, { code: 0, stdout: '', stderr: '' });
}
