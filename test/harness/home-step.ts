import * as assert from 'uvu/assert';
import { movePrograms } from './move-state.ts';
import { inSmallSystem } from './small-system.ts';

/**
 * Runs a script in the chroot of small-system.ts, which must end with exit code 0. In the returned stdout, a step of a
 * plan is one line.
 */
export function runHomeScript(
  script: string,
  sizeMiB?: number,
  timeout?: number,
): { stdout: string; stderr: string } {
  const { code, stdout, stderr } = inSmallSystem(`${movePrograms}\n${script}\n:`, sizeMiB, timeout);
  assert.is(code, 0, stdout + stderr);
  const lines = stdout
    .replace(/\n {21,26}(?=\S)/g, ' ')
    .replace(/\n\n {2}(Nothing is left to do|\d+ (needed|blocked|by hand|at next boot))[^\n]*\n/g, '\n')
    .replace(/^ {2}((done|needed|blocked|by hand|at next boot) +home) +/gm, '$1: ');
  return { stdout: lines, stderr };
}

/** Returns only the stdout. */
export function outputOf(script: string, sizeMiB?: number, timeout?: number): string {
  return runHomeScript(script, sizeMiB, timeout).stdout;
}
