import { createHash } from 'node:crypto';
import { setImmediate as yieldToEvents } from 'node:timers/promises';
import { SystemError } from '../../lib/errors.ts';
import type { Entry, OpenFile } from './directory.ts';

const pieceBytes = 1024 * 1024;
/** How often a file that changes while it is read is read again. */
const attempts = 3;

/**
 * Whether two files have the same bytes. Ends at the first difference.
 * @throws SystemError EAGAIN if the first file changed during each attempt, so that the result would be unknown
 */
export async function haveSameBytes(upper: OpenFile, lower: OpenFile): Promise<boolean> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const before = upper.stat();
    if (!(await compareBytes(upper, lower, before.size))) return false;
    if (isUnchanged(before, upper.stat())) return true;
  }
  throw new SystemError('changed while it was read', 'EAGAIN');
}

/** Whether a file was not written to between two calls of fstat(2). */
export function isUnchanged(before: Entry, after: Entry): boolean {
  return before.ctime === after.ctime && before.mtime === after.mtime && before.size === after.size;
}

async function compareBytes(upper: OpenFile, lower: OpenFile, bytes: number): Promise<boolean> {
  // One byte more, so that a small file needs one read.
  const size = Math.min(pieceBytes, bytes + 1);
  const [a, b] = [Buffer.allocUnsafe(size), Buffer.allocUnsafe(size)];
  for (let offset = 0; ; offset += size) {
    const [left, right] = [upper.read(a, offset), lower.read(b, offset)];
    if (left !== right || a.compare(b, 0, right, 0, left) !== 0) return false;
    if (left < size) return true;
    await yieldToEvents();
  }
}

/** Reads a file in pieces of at most 1 MiB, up to the size that it had at first, so that a file that grows ends. */
export async function* readInPieces(file: OpenFile, bytes: number): AsyncGenerator<Buffer, void> {
  for (let offset = 0; offset < bytes;) {
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, bytes - offset));
    const count = file.read(piece, offset);
    if (count === 0) return;
    yield piece.subarray(0, count);
    offset += count;
    await yieldToEvents();
  }
}

/** Returns the SHA-256 of a file, in hexadecimal. @throws SystemError EAGAIN if the file changed during each attempt */
export async function sha256Of(file: OpenFile): Promise<string> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const before = file.stat();
    const hash = createHash('sha256');
    for await (const piece of readInPieces(file, before.size)) hash.update(piece);
    if (isUnchanged(before, file.stat())) return hash.digest('hex');
  }
  throw new SystemError('changed while it was read', 'EAGAIN');
}
