import v8 from 'node:v8';

/**
 * Keeps V8's young generation at its first size, about 2 MiB. What waits for the server survives a collection or
 * two, which V8 takes as a reason to let it grow to three times 32 MiB: measured, 100 MiB more than is needed, and
 * no quicker. The flag is read at each growth (V8, src/heap/new-spaces.cc), so that it can be set here, for
 * the one command that runs on and on.
 */
export function keepHeapSmall(): void {
  v8.setFlagsFromString('--semi-space-growth-factor=1');
}

/** A text without its past: a slice keeps all of the chunk in memory that it was cut from. */
export function ownCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
