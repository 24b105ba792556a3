import path from 'node:path';
import * as assert from 'uvu/assert';
import { buildBootProgram } from '../../packaging/build/boot-program.ts';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { dist, inRoot, scratch } from '../../packaging/build/paths.ts';
import { inSmallSystem } from './small-system.ts';

const bootProgram = path.join(scratch, 'test/loop/immutafs-boot');
await Promise.all([
  buildProgram('move-directory'),
  buildBootProgram(inRoot('test/harness/boot-program-loop.ts'), bootProgram),
]);
const inMedia = (file: string) => `/media/${path.relative(inRoot(''), file)}`;

/** Lines of sh that prepare a small system for moves (move-state.sh). */
export const movePrograms = `programs=${inMedia(dist)} boot_program=${inMedia(bootProgram)}; . /media/test/harness/move-state.sh`;

/**
 * Runs a script in the chroot of small-system.ts, in which /var/lib/app has content of every kind and $disk is mounted on
 * /data for PERSIST_STORE. move-state.sh defines the functions.
 * @param options the size of $disk; the types of the file systems on it and, if it is one of its own, of /var/lib, so that
 *   `boot` can cut the power
 * @returns its stdout
 * @throws Error with all output if the script fails
 */
export function moveOutput(
  script: string,
  { dataMiB = 400, type = 'ext4', systemType = '', timeout = 300_000 } = {},
): string {
  const before = `app=/var/lib/app storeType=${type} systemType=${systemType}; ${movePrograms}`;
  const { code, stdout, stderr } = inSmallSystem(`${before}\n${script}\n:`, dataMiB, timeout);
  if (code !== 0) throw new Error(`ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

/**
 * Runs lines of sh for each point, one after the other in one system. `quiet` is to run a command that may end with 1 if it
 * leaves something for the next boot.
 */
export function atEachPoint(
  points: readonly string[],
  types: Parameters<typeof moveOutput>[1],
  lines: (point: string, index: number) => string,
): void {
  const quiet = 'quiet() { "$@" >/run/said 2>&1 || [ -e "$marker" ] || { cat /run/said; exit 1; }; }';
  const script = points.map((point, index) => `${lines(point, index)}; echo "passed ${point}"`).join('\n');
  const stdout = moveOutput(`${quiet}\n${script}`, { ...types, timeout: 540_000 });
  assert.equal([...(stdout.match(/(?<=^passed ).*$/gm) ?? [])], points, stdout);
}
