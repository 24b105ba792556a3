import path from 'node:path';
import type { AuditRecord } from '../files/audit-event.ts';
import type { LineChunk } from '../reader.ts';

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

/** The facility log audit and local use 0 (RFC 5424, section 6.2.1). A log file does not record a facility. */
const auditFacility = 13;
const otherFacility = 16;

/** The fields that are common to the lines of a log file. */
export class FileFields {
  /** Informational (RFC 5424, section 6.2.1), because a log file does not record a severity. */
  static readonly severity = 6;
  /** The path, one character per byte (latin1). */
  readonly path: string;
  readonly #name: string;

  constructor(file: string) {
    this.path = Buffer.from(file).toString('latin1');
    this.#name = path.basename(this.path);
  }

  facility(record: AuditRecord | undefined): number {
    return record === undefined ? otherFacility : auditFacility;
  }

  /** The name of the program: `audit`, or the file name. */
  identifier(record: AuditRecord | undefined): string {
    return record === undefined ? this.#name : 'audit';
  }
}
