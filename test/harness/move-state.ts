import path from 'node:path';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { dist } from '../../packaging/build/paths.ts';
import { inSmallSystem } from './small-system.ts';

await buildProgram('make-mounts');

const inside = path.relative(path.join(import.meta.dirname, '../..'), dist);

/**
 * Runs a script in the chroot of small-system.ts, in which /var/lib/app has content of every kind and $disk is mounted on
 * /data for PERSIST_STORE. move-state.sh defines the functions.
 * @param dataMiB the size of $disk
 * @returns its stdout
 * @throws Error with all output if the script fails
 */
export function moveOutput(script: string, dataMiB = 400, timeout?: number): string {
  const { code, stdout, stderr } = inSmallSystem(
    `makeMounts=/media/${inside}/make-mounts; . /media/test/harness/move-state.sh\n${script}`,
    dataMiB,
    timeout,
  );
  if (code !== 0) throw new Error(`ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}
