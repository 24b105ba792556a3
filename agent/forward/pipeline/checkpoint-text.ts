import { toJson } from '../../lib/unprintable.ts';
import type { FileRecord } from '../files/content.ts';
import { parseCursor } from '../../lib/journal-export/cursor.ts';
import type { Acknowledged } from './checkpoint.ts';

/** The maximum size of a checkpoint, and of its records of log files together, so that it remains readable. */
export const checkpointBytes = 1024 * 1024;
const recordBytes = 900 * 1024;
/** The highest mtime, in milliseconds. */
const latest = 1e15;

export interface ParsedCheckpoint extends Acknowledged {
  boot: string;
  /** The number of malformed `FILE=…` lines, which are left out. */
  malformed: number;
}

/** Parses `BOOT=…`, `CURSOR=…` and any number of `FILE=…` lines. @returns undefined if any other line is malformed */
export function parseCheckpoint(text: string): ParsedCheckpoint | undefined {
  const [head = '', boot, cursor = ''] = /^BOOT=([0-9a-f]{32})\nCURSOR=(\S*)\n/.exec(text) ?? [];
  if (boot === undefined || (cursor !== '' && parseCursor(cursor) === undefined)) return undefined;
  const lines = text.slice(head.length).split('\n');
  if (lines.pop() !== '' || !lines.every((line) => line.startsWith('FILE='))) return undefined;
  const files = lines.map(parseRecord).filter((file) => file !== undefined);
  return { boot, cursor, files, malformed: lines.length - files.length };
}

/** Formats what `parseCheckpoint` reads. Records that would make it too large to be read are left out. */
export function formatCheckpoint(bootId: string, { cursor, files }: Acknowledged): string {
  let bytes = 0;
  const lines = files.map(formatRecord).filter((line) => {
    const size = Buffer.byteLength(line);
    if (bytes + size > recordBytes) return false;
    bytes += size;
    return true;
  });
  return `BOOT=${bootId}\nCURSOR=${cursor}\n${lines.join('')}`;
}

/**
 * Formats a line of the checkpoint. The owner of a file chooses its mtime and, with a sparse file, its size, so numbers
 * that cannot be read again are limited.
 */
function formatRecord({ path, inode, offset, bytes, modified, head, before }: FileRecord): string {
  const sizes = [offset, bytes].map((size) => limited(size, Number.MAX_SAFE_INTEGER)).join(' ');
  return `FILE=${inode} ${sizes} ${limited(modified, latest)} ${head} ${before} ${toJson(path)}\n`;
}

/** Limits a number so that it is written without an exponent: it has no more than 16 digits and 6 decimals. */
function limited(value: number, most: number): number {
  return Number(Math.max(0, Math.min(value, most)).toFixed(6));
}

const line =
  /^FILE=([0-9]{1,20}:[0-9]{1,20}) ([0-9]{1,16}) ([0-9]{1,16}) ([0-9]{1,16}(?:\.[0-9]{1,20})?) ([0-9a-f]{32}) ([0-9a-f]{32}) ("\/[^\n]*")$/;

/** @returns undefined if the line is malformed */
function parseRecord(text: string): FileRecord | undefined {
  const [, inode = '', offset, bytes, modified, head = '', before = '', quoted = ''] = line.exec(text) ?? [];
  const path = unquote(quoted);
  const numbers = { offset: Number(offset), bytes: Number(bytes), modified: Number(modified) };
  const isSafe = Math.max(numbers.offset, numbers.bytes) <= Number.MAX_SAFE_INTEGER;
  if (path === undefined || !isSafe || numbers.modified > latest) return undefined;
  return { path, inode, ...numbers, head, before };
}

function unquote(text: string): string | undefined {
  try {
    return JSON.parse(text) as string;
  } catch {
    return undefined;
  }
}
