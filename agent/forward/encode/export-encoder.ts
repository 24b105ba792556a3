import type { Clock } from '../../system/clock.ts';
import { type AuditRecord, AuditRecords } from '../files/audit-event.ts';
import { type LineChunk, type LogEntry, filePosition } from '../reader.ts';
import type { Encoder, OutgoingMessage } from './encoder.ts';
import { FileFields, forEachLine } from './file-lines.ts';
import { noticeText } from './notice.ts';

/** Passes journal entries through unchanged, for systemd-journal-remote. */
export class ExportEncoder implements Encoder {
  readonly #clock: Clock;
  readonly #host: string;

  /** @param hostname the host name in the agent's own messages */
  constructor(clock: Clock, hostname: string) {
    this.#clock = clock;
    this.#host = hostname;
  }

  encode({ cursor, text, run }: LogEntry, out: OutgoingMessage[]): void {
    out.push({ text, cursor, run });
  }

  encodeLines(chunk: LineChunk, out: OutgoingMessage[]): void {
    const { realtime, monotonic, bootId } = this.#clock;
    const { id, path, inode, terminated, audit } = chunk;
    const head =
      `__REALTIME_TIMESTAMP=${realtime()}\n__MONOTONIC_TIMESTAMP=${monotonic()}\n_BOOT_ID=${bootId}\n` +
      `_HOSTNAME=${this.#host}\nPRIORITY=${FileFields.severity}\n${field('IMMUTAFS_FILE', utf8(path))}IMMUTAFS_INODE=${inode}\n`;
    const fields = new FileFields(path);
    const records = new AuditRecords();
    const programs = new Map<string | undefined, string>();
    forEachLine(chunk, (line, offset, end, isLast) => {
      const record = audit ? records.parse(line) : undefined;
      // Few of these serve all lines of a chunk.
      let program = programs.get(record?.type);
      if (program === undefined) programs.set(record?.type, (program = programFields(fields, record)));
      const incomplete = isLast && !terminated ? 'IMMUTAFS_INCOMPLETE=1\n' : '';
      const event =
        record === undefined ? '' : `_SOURCE_REALTIME_TIMESTAMP=${record.time}\n_AUDIT_ID=${record.serial}\n`;
      const text = `${head}IMMUTAFS_OFFSET=${offset}\n${incomplete}${program}${event}${binary('MESSAGE', line)}\n`;
      out.push({ text, cursor: filePosition(id, end) });
    });
  }

  encodeNotice(message: string, out: OutgoingMessage[]): void {
    const { realtime, monotonic, bootId } = this.#clock;
    const text =
      `__REALTIME_TIMESTAMP=${realtime()}\n__MONOTONIC_TIMESTAMP=${monotonic()}\n_BOOT_ID=${bootId}\n` +
      `_HOSTNAME=${this.#host}\nPRIORITY=4\nSYSLOG_IDENTIFIER=immutafs-agent\nMESSAGE=${noticeText(message)}\n\n`;
    out.push({ text, cursor: '' });
  }
}

/** Returns the fields that depend on the type of a record only, as journald sets them (systemd.journal-fields(7)). */
function programFields(fields: FileFields, record: AuditRecord | undefined): string {
  const type = record === undefined ? '' : field('_AUDIT_TYPE_NAME', record.type);
  return `SYSLOG_FACILITY=${fields.facility(record)}\n${field('SYSLOG_IDENTIFIER', fields.identifier(record))}${type}`;
}

/**
 * Returns a field in the export format: as text if the value is printable ASCII, which is UTF-8 and contains no line
 * feed, and otherwise with its length.
 * @param value one character per byte (latin1)
 */
function field(name: string, value: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters require the binary form
  return /[\x00-\x08\x0a-\x1f\x7f-\xff]/.test(value) ? binary(name, value) : `${name}=${value}\n`;
}

/** Returns a field in the binary form, which is valid for every value. This saves a search for line feeds. */
function binary(name: string, value: string): string {
  const { length } = value;
  const low = String.fromCharCode(length & 255, (length >> 8) & 255, (length >> 16) & 255, length >>> 24);
  return `${name}\n${low}\0\0\0\0${value}\n`;
}

/** Returns a text with one character for each byte of its UTF-8 form. */
function utf8(text: string): string {
  return Buffer.from(text).toString('latin1');
}
