import { createHash } from 'node:crypto';
import type { LogFile } from '../../system/log-file.ts';

/** How much of the beginning of a file, and of the bytes before an offset, identifies its content. */
export const headBytes = 1024;
export const beforeBytes = 256;

/** Where reading of a file stopped, and hashes by which the file is recognised under any name. */
export interface TailRecord {
  inode: string;
  offset: number;
  /** The size of the file when the record was made. */
  bytes: number;
  /** The mtime of the file, in milliseconds. */
  modified: number;
  head: string;
  before: string;
}

/** Whether a file has, up to an offset, the content that two hashes describe. */
export function hasContent(file: LogFile, offset: number, head: string, before: string): boolean {
  const length = Math.min(beforeBytes, offset);
  const [start, last] = [
    bytesAt(file, 0, Math.min(headBytes, offset)),
    bytesAt(file, offset - length, length),
  ];
  return last.length === length && digest(start) === head && digest(last) === before;
}

/** Reads bytes at an offset. Returns fewer bytes at the end of the file. */
export function bytesAt(file: LogFile, offset: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, length === 0 ? 0 : file.read(buffer, offset));
}

/** Returns a hash, 32 hexadecimal digits. */
export function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

/** Returns the last bytes of two consecutive pieces. */
export function lastBytes(before: Buffer, text: string): Buffer {
  if (text.length >= beforeBytes) return Buffer.from(text.slice(-beforeBytes), 'latin1');
  return Buffer.concat([before, Buffer.from(text, 'latin1')]).subarray(-beforeBytes);
}
