import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runProgram } from './programs.ts';

/**
 * Verifies that every package is signed by the key in `publicKey`, and by no other, with rpm's own verification.
 * @throws Error that names the first package that is not
 */
export function verifyPackages(files: readonly string[], publicKey: string): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'release-rpmdb-'));
  try {
    const database = ['--dbpath', folder];
    runProgram('rpmkeys', [...database, '--import', publicKey]);
    for (const file of files) {
      try {
        // Without this level, rpm accepts a package that has no signature.
        runProgram('rpmkeys', [...database, '--define', '_pkgverify_level all', '--checksig', file]);
      } catch (error) {
        throw new Error(`${path.basename(file)} is not signed by the key of this release`, { cause: error });
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
