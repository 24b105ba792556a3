import { createHash } from 'node:crypto';
import type { LogFile } from '../../system/log-file.ts';

/** How much of the beginning of a file, and of the bytes before an offset, identifies its content. */
export const headBytes = 1024;
const beforeBytes = 256;

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

/** Where a log was acknowledged. */
export interface FileRecord extends TailRecord {
  path: string;
}

/** The content of a file up to an offset: its beginning, and the bytes before the offset. */
export interface Sample {
  head: Buffer;
  before: Buffer;
}

/** Reads the content up to an offset. After a short read, `isWhole` is false. */
export function sampleOf(file: LogFile, offset: number): Sample & { isWhole: boolean } {
  const before = bytesBefore(file, offset);
  const isWhole = before.length === Math.min(beforeBytes, offset);
  return { head: bytesAt(file, 0, Math.min(headBytes, offset)), before, isWhole };
}

export function bytesBefore(file: LogFile, offset: number): Buffer {
  const length = Math.min(beforeBytes, offset);
  return bytesAt(file, offset - length, length);
}

/** Returns hashes, 32 hexadecimal digits each. */
export function hashesOf({ head, before }: Sample): Pick<TailRecord, 'head' | 'before'> {
  return { head: digest(head), before: digest(before) };
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

/** Whether a file has the content that a record describes. */
export function hasContent(
  file: LogFile,
  { offset, head, before }: Pick<TailRecord, 'offset' | 'head' | 'before'>,
): boolean {
  const sample = sampleOf(file, offset);
  const found = hashesOf(sample);
  return sample.isWhole && found.head === head && found.before === before;
}

/** Reads bytes at an offset. Returns fewer bytes at the end of the file. */
export function bytesAt(file: LogFile, offset: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, length === 0 ? 0 : file.read(buffer, offset));
}

/** Returns the last bytes of two consecutive pieces. */
export function lastBytes(before: Buffer, text: string): Buffer {
  if (text.length >= beforeBytes) return Buffer.from(text.slice(-beforeBytes), 'latin1');
  return Buffer.concat([before, Buffer.from(text, 'latin1')]).subarray(-beforeBytes);
}
