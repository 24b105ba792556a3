import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { type SigningKey, verifyFile } from './key.ts';

export const checksumsName = 'SHA256SUMS';

/** The files that a release takes from the releases before it. The others are created again. */
const kept = /^(?:x86_64\/[^/]+\.rpm|immutafs-agent-[^/]*\.(?:tar\.gz|cdx\.json|md))$/;

/**
 * Copies the packages, sources, SBOMs and release notes of earlier releases to a new folder. The new checksums will
 * cover them, so each file in the folder of the earlier releases must have the checksum that the key of this release
 * has signed.
 * @param out the folder of the earlier releases; if it does not exist or is empty, nothing is copied
 * @throws Error if the folder contains a file that is not part of a release, or that was changed
 */
export function copyEarlier(out: string, next: string, key: SigningKey): void {
  const files = filesBelow(out);
  if (files.length === 0) return;
  const sums = verifiedChecksums(out, files, key);
  for (const file of files) {
    const expected = sums.get(file);
    if (expected === undefined) {
      throw new Error(
        `${path.join(out, file)} is not part of the earlier release, and would be removed: move it to another directory`,
      );
    }
    let content = path.join(out, file);
    if (kept.test(file)) {
      cpSync(content, path.join(next, file), { preserveTimestamps: true });
      content = path.join(next, file);
    }
    if (sha256(content) !== expected) {
      throw new Error(
        `${path.join(out, file)} differs from ${checksumsName} of the earlier release: restore it from a copy that you trust`,
      );
    }
  }
}

/** Returns the checksum of each file, from a list that the key has signed; the list itself is removed from `files`. */
function verifiedChecksums(out: string, files: string[], key: SigningKey): Map<string, string> {
  const list = path.join(out, checksumsName);
  const own = [checksumsName, `${checksumsName}.asc`];
  if (!own.every((name) => existsSync(path.join(out, name))))
    throw new Error(`${out} contains files that are not a release: choose an empty or a new directory`);
  verifyFile(key, list);
  for (const name of own) files.splice(files.indexOf(name), 1);
  const lines = readFileSync(list, 'utf8').split('\n');
  return new Map(
    lines.flatMap((line) => {
      const [, hash = '', file = ''] = /^([\da-f]{64}) {2}(.+)$/.exec(line) ?? [];
      return file === '' ? [] : [[file, hash]];
    }),
  );
}

/** Returns everything below a folder that is not a folder, sorted; nothing if the folder does not exist. */
export function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** Returns the SHA-256 of a file, in hexadecimal. */
export function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
