import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scratch } from './build-paths.ts';

export interface Step {
  /** Names the stamp file, build/NAME.stamp. */
  name: string;
  /** Everything that decides the result; see `digest`. */
  key: string;
  /** Files that must be there for the step to count as done. */
  outputs: readonly string[];
  make: () => void | Promise<void>;
}

/**
 * Makes `outputs`, unless they are there and were made from the same `key`.
 * @returns true if it had to be made
 * @throws what `make` throws; the step then counts as not done
 */
export async function once({ name, key, outputs, make }: Step): Promise<boolean> {
  const stamp = path.join(scratch, `${name}.stamp`);
  const done = existsSync(stamp) && readFileSync(stamp, 'utf8') === key;
  if (done && outputs.every((output) => existsSync(output))) return false;
  mkdirSync(scratch, { recursive: true });
  rmSync(stamp, { force: true });
  await make();
  writeFileSync(stamp, key);
  return true;
}

/** SHA-256 over texts and over the content of files, in hexadecimal. Each part is told from its neighbours. */
export function digest({ files = [], texts = [] }: { files?: string[]; texts?: string[] }): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`text ${Buffer.byteLength(text)}\n`).update(text);
  for (const file of files) {
    const content = readFileSync(file);
    hash.update(`file ${path.basename(file)} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

/** The scripts of the build itself: what they do decides every result. */
export function recipe(pattern: string): string[] {
  return globSync(path.join(import.meta.dirname, pattern)).sort();
}
