import v8 from 'node:v8';

/**
 * Keeps V8's young generation at its initial size, about 2 MiB. Entries that wait for the server survive one or two
 * collections, and V8 then lets the young generation grow to three times 32 MiB: 100 MiB more by measurement, without
 * more throughput. V8 reads the flag at each growth (src/heap/new-spaces.cc), so it can be set here, for the one
 * command that does not end.
 */
export function keepHeapSmall(): void {
  v8.setFlagsFromString('--semi-space-growth-factor=1');
}

/** A copy that does not keep the parent chunk alive, as a slice would. @param text one character a byte */
export function ownCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
