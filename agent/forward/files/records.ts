import { toJson } from '../../lib/unprintable.ts';
import type { TailRecord } from './content.ts';

/** Where a log was acknowledged. */
export interface FileRecord extends TailRecord {
  path: string;
}

/** The highest mtime, in milliseconds. */
const latest = 1e15;

/**
 * Formats a line of the checkpoint. The owner of a file chooses its mtime and, with a sparse file, its size, so numbers
 * that cannot be read again are limited.
 */
export function formatRecord({ path, inode, offset, bytes, modified, head, before }: FileRecord): string {
  const sizes = `${limited(offset, Number.MAX_SAFE_INTEGER)} ${limited(bytes, Number.MAX_SAFE_INTEGER)}`;
  return `FILE=${inode} ${sizes} ${limited(modified, latest)} ${head} ${before} ${toJson(path)}\n`;
}

/** Limits a number so that it is written without an exponent: it has no more than 16 digits and 6 decimals. */
function limited(value: number, most: number): number {
  return Number(Math.max(0, Math.min(value, most)).toFixed(6));
}

const line =
  /^FILE=([0-9]{1,20}:[0-9]{1,20}) ([0-9]{1,16}) ([0-9]{1,16}) ([0-9]{1,16}(?:\.[0-9]{1,20})?) ([0-9a-f]{32}) ([0-9a-f]{32}) ("\/[^\n]*")$/;

/** @returns undefined if the line is malformed */
export function parseRecord(text: string): FileRecord | undefined {
  const [, inode, offset, bytes, modified, head, before, quoted] = line.exec(text) ?? [];
  if (inode === undefined || head === undefined || before === undefined || quoted === undefined)
    return undefined;
  const path = unquote(quoted);
  const numbers = { offset: Number(offset), bytes: Number(bytes), modified: Number(modified) };
  const isSafe = Math.max(numbers.offset, numbers.bytes) <= Number.MAX_SAFE_INTEGER;
  if (path === undefined || !isSafe || numbers.modified > latest) return undefined;
  return { path, inode, ...numbers, head, before };
}

function unquote(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
