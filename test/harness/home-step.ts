import { inSmallSystem } from './small-system.ts';
import type { Ran } from './namespace.ts';

/** Runs a script in the chroot of small-system.ts. In the returned stdout, a step of a plan is one line. */
export function runHomeScript(script: string, sizeMiB?: number): Ran {
  const { stdout, ...rest } = inSmallSystem(script, sizeMiB);
  const lines = stdout
    .replace(/\n {21}(?=\S)/g, ' ')
    .replace(/\n\n {2}(Nothing is left to do|\d+ (needed|blocked|by hand))[^\n]*\n/g, '\n')
    .replace(/^ {2}((done|needed|blocked|by hand) +home) +/gm, '$1: ');
  return { ...rest, stdout: lines };
}

/** Returns a script's stdout. @throws Error with all output if the script fails */
export function outputOf(script: string, sizeMiB?: number): string {
  const { code, stdout, stderr } = runHomeScript(script, sizeMiB);
  if (code !== 0) throw new Error(`ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}
