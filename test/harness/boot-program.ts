import path from 'node:path';
import { buildBootProgram } from '../../packaging/build/boot-program.ts';
import { inRoot, scratch } from '../../packaging/build/paths.ts';

/** immutafs-boot for the sandbox of test/shell, where there is no device-mapper (boot-program-main.ts). */
export const testBootProgram = path.join(scratch, 'test/immutafs-boot');

export async function buildTestBootProgram(): Promise<void> {
  await buildBootProgram(inRoot('test/harness/boot-program-main.ts'), testBootProgram);
}
