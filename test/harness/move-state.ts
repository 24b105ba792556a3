import path from 'node:path';
import { bootProgram, buildBootProgram } from '../../packaging/build/boot-program.ts';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { dist } from '../../packaging/build/paths.ts';
import { inSmallSystem } from './small-system.ts';

await Promise.all([buildProgram('make-mounts'), buildBootProgram()]);

const inside = (file: string) => `/media/${path.relative(path.join(import.meta.dirname, '../..'), file)}`;

/**
 * Runs a script in the chroot of small-system.ts, in which /var/lib/app has content of every kind and $disk is mounted on
 * /data for PERSIST_STORE. move-state.sh defines the functions.
 * @param dataMiB the size of $disk
 * @returns its stdout
 * @throws Error with all output if the script fails
 */
export function moveOutput(script: string, dataMiB = 400, timeout?: number): string {
  const { code, stdout, stderr } = inSmallSystem(
    `programs='${inside(path.join(dist, 'make-mounts'))} ${inside(bootProgram)}'; . /media/test/harness/move-state.sh\n${script}`,
    dataMiB,
    timeout,
  );
  if (code !== 0) throw new Error(`ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}
