import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once as event } from 'node:events';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scratch } from './paths.ts';

export interface Step {
  /** Names the stamp file, build/NAME.stamp. */
  name: string;
  /** A digest of everything that determines the result; see `digest`. */
  key: string;
  /** Files that must exist for the step to count as done. */
  outputs: readonly string[];
  make: () => void | Promise<void>;
}

/**
 * Makes `outputs`, unless they exist and were made from the same `key`. If another process is making them, waits for
 * that process.
 * @returns whether they were made
 * @throws what `make` throws; the step then counts as not done
 */
export async function once({ name, key, outputs, make }: Step): Promise<boolean> {
  const stamp = path.join(scratch, `${name}.stamp`);
  const done = () =>
    existsSync(stamp) && readFileSync(stamp, 'utf8') === key && outputs.every((output) => existsSync(output));
  if (done()) return false;
  mkdirSync(scratch, { recursive: true });
  const unlock = await lock(path.join(scratch, `${name}.lock`));
  try {
    if (done()) return false;
    rmSync(stamp, { force: true });
    await make();
    writeFileSync(stamp, key);
    return true;
  } finally {
    unlock();
  }
}

/**
 * Locks a file and returns the function that releases the lock. flock(1) holds the lock while its standard input is
 * open, so the lock also ends with this process.
 */
async function lock(file: string): Promise<() => void> {
  const holder = spawn('flock', [file, 'sh', '-c', 'echo; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await event(holder.stdout, 'data');
  return () => holder.stdin.end();
}

/**
 * Returns the SHA-256 of texts and of the content of files, in hexadecimal. Each text or file is preceded by its
 * length.
 */
export function digest({ files = [], texts = [] }: { files?: string[]; texts?: string[] }): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`text ${Buffer.byteLength(text)}\n`).update(text);
  for (const file of files) {
    const content = readFileSync(file);
    hash.update(`file ${path.basename(file)} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

/** Returns the paths of files of the build itself, which are part of the key of a step. */
export function recipe(pattern: string): string[] {
  return globSync(path.join(import.meta.dirname, pattern)).sort();
}
