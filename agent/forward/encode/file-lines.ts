import path from 'node:path';
import { type AuditRecord, AuditRecords } from '../../lib/audit-record.ts';
import { encodeBytes } from '../../lib/format.ts';
import type { LineChunk } from '../stages.ts';

/**
 * Calls `use` for each line of a chunk, without its line feed.
 * @param use receives the line, the offsets of its first byte and after its line feed, and whether it is the last line
 */
export function forEachLine(
  { text, offset }: LineChunk,
  use: (line: string, offset: number, end: number, isLast: boolean) => void,
): void {
  let at = 0;
  while (at < text.length) {
    const feed = text.indexOf('\n', at);
    const end = feed < 0 ? text.length : feed;
    const next = feed < 0 ? end : feed + 1;
    use(text.slice(at, end), offset + at, offset + next, next === text.length);
    at = next;
  }
}

/** Informational (RFC 5424, section 6.2.1), because a log file does not record a severity. */
export const lineSeverity = 6;

/** Returns log audit or local use 0 (RFC 5424, section 6.2.1), because a log file does not record a facility. */
export function lineFacility(record: AuditRecord | undefined): number {
  return record === undefined ? 16 : 13;
}

/**
 * Calls `use` for each line of a chunk.
 * @param headOf returns what all lines with records of a type have in common, or all lines without a record. Receives a
 *     record, and the name of the program: `audit`, or the file name, one character per byte (latin1).
 * @param use receives the line, its record, what `headOf` returned, the offsets of its first byte and after its line
 *     feed, and whether it is incomplete
 */
export function encodeEachLine(
  chunk: LineChunk,
  headOf: (record: AuditRecord | undefined, program: string) => string,
  use: (
    line: string,
    record: AuditRecord | undefined,
    head: string,
    offset: number,
    end: number,
    isIncomplete: boolean,
  ) => void,
): void {
  const name = path.basename(encodeBytes(chunk.path));
  const records = new AuditRecords();
  // Few heads serve all lines of a chunk.
  const heads = new Map<string | undefined, string>();
  const { text, offset, audit, terminated } = chunk;
  // Without forEachLine, because V8 interprets the shipped program (--jitless), where each call of a line counts.
  let at = 0;
  while (at < text.length) {
    const feed = text.indexOf('\n', at);
    const next = feed < 0 ? text.length : feed + 1;
    const line = text.slice(at, feed < 0 ? next : feed);
    const record = audit ? records.parse(line) : undefined;
    let head = heads.get(record?.type);
    if (head === undefined) {
      head = headOf(record, record === undefined ? name : 'audit');
      heads.set(record?.type, head);
    }
    use(line, record, head, offset + at, offset + next, !terminated && next === text.length);
    at = next;
  }
}
