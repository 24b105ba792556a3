import { toJson } from '../../lib/unprintable.ts';
import type { TailRecord } from './tail.ts';

/** Where a log was acknowledged. */
export interface FileRecord extends TailRecord {
  path: string;
}

/** Formats a line of the checkpoint. */
export function formatRecord({ path, inode, offset, bytes, modified, head, before }: FileRecord): string {
  return `FILE=${inode} ${offset} ${bytes} ${modified} ${head} ${before} ${toJson(path)}\n`;
}

const line =
  /^FILE=([0-9]{1,20}:[0-9]{1,20}) ([0-9]{1,15}) ([0-9]{1,15}) ([0-9]{1,15}(?:\.[0-9]+)?) ([0-9a-f]{32}) ([0-9a-f]{32}) ("\/[^\n]*")$/;

/** @returns undefined if the line is malformed */
export function parseRecord(text: string): FileRecord | undefined {
  const [, inode, offset, bytes, modified, head, before, quoted] = line.exec(text) ?? [];
  if (inode === undefined || head === undefined || before === undefined || quoted === undefined)
    return undefined;
  const path = unquote(quoted);
  if (path === undefined) return undefined;
  return {
    path,
    inode,
    offset: Number(offset),
    bytes: Number(bytes),
    modified: Number(modified),
    head,
    before,
  };
}

function unquote(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
