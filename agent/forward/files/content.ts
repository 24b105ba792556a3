import { createHash } from 'node:crypto';
import type { LogFile } from '../../system/log-file.ts';

/** How much of the beginning of a file, and of the bytes before an offset, identifies its content. */
export const headBytes = 1024;
const beforeBytes = 256;
/** The maximum length of a line. A longer line is sent in several parts. */
export const lineBytes = 1024 * 1024;

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
  /** Whether an earlier boot made the record, and this boot has not found the file yet. */
  isEarlier?: true;
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

/** Returns the offset of the last beginning of a line up to an offset; 0 if none is in the 1 MiB before it. */
export function endOfLineBefore(file: LogFile, offset: number): number {
  const from = Math.max(0, offset - lineBytes);
  const end = bytesAt(file, from, offset - from).lastIndexOf(10) + 1;
  return end === 0 ? 0 : from + end;
}

/** Returns the last bytes of two consecutive pieces. */
export function lastBytes(before: Buffer, text: string): Buffer {
  if (text.length >= beforeBytes) return Buffer.from(text.slice(-beforeBytes), 'latin1');
  return Buffer.concat([before, Buffer.from(text, 'latin1')]).subarray(-beforeBytes);
}

/**
 * The shortest run of NUL bytes that is skipped: a page, the smallest hole. A program leaves a hole that continues at
 * its old offset after copytruncate, and the owner of a log makes one with truncate(1), up to exbibytes without using
 * any space.
 */
const run = Buffer.alloc(4096);
const zeros = Buffer.alloc(64 * 1024);
/** How much is examined before other logs have their turn. */
const scanBytes = 16 * 1024 * 1024;
/** The maximum number of bytes in holes that are examined one after another. */
const mostHoles = 1024 * 1024 * 1024;

/** Returns the offset of the first run of NUL bytes that is long enough to be skipped; -1 if there is none. */
export function nulRunIn(bytes: Buffer): number {
  return bytes.indexOf(run);
}

/**
 * Finds the end of a run of NUL bytes, but examines at most 16 MiB. A file of which more than 1 GiB cannot be anything but
 * holes, because it does not use that much space, is not examined any further: its data may all be at its end.
 * @param buffer is overwritten
 * @returns `end`, and `beyond`, the offset at which to go on, which is larger if a part of the file is not examined;
 *     `isOpen` if the run may continue after `end`
 */
export function endOfNuls(
  file: LogFile,
  from: number,
  bytes: number,
  buffer: Buffer,
): { end: number; beyond: number; isOpen: boolean } {
  const to = Math.min(bytes, from + scanBytes);
  let end = from;
  while (end < to) {
    const count = file.read(buffer.subarray(0, Math.min(buffer.length, to - end)), end);
    const nuls = leadingNuls(buffer.subarray(0, count));
    end += nuls;
    if (nuls < count || count === 0) return { end, beyond: end, isOpen: false };
  }
  const last = bytes - file.stat().allocated;
  return { end, beyond: last - end > mostHoles ? last : end, isOpen: end < bytes };
}

function leadingNuls(bytes: Buffer): number {
  let at = 0;
  while (at < bytes.length) {
    const part = bytes.subarray(at, at + zeros.length);
    if (!part.equals(zeros.subarray(0, part.length))) return at + part.findIndex((byte) => byte !== 0);
    at += part.length;
  }
  return at;
}
