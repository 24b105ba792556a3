import type { AuditRecord } from '../../lib/audit-record.ts';
import { cleanBytes, encodeBytes } from '../../lib/format.ts';
import type { Clock } from '../../system/clock.ts';
import { type Encoder, filePosition } from '../stages.ts';
import { encodeEachLine, lineFacility, lineSeverity } from './file-lines.ts';

/**
 * Returns an encoder that passes journal entries through unchanged, for systemd-journal-remote.
 * @param hostname the host name in the agent's own messages
 */
export function exportEncoder({ realtime, monotonic, bootId }: Clock, hostname: string): Encoder {
  const headOf = (priority: number) => {
    const times = `__REALTIME_TIMESTAMP=${realtime()}\n__MONOTONIC_TIMESTAMP=${monotonic()}\n`;
    return `${times}_BOOT_ID=${bootId}\n_HOSTNAME=${hostname}\nPRIORITY=${priority}\n`;
  };
  return {
    encode: ({ cursor, text, run }, out) => void out.push({ text, cursor, run }),
    encodeLines: (chunk, out) => {
      const { id, path, inode } = chunk;
      const file = `${field('IMMUTAFS_FILE', encodeBytes(path))}IMMUTAFS_INODE=${inode}\n`;
      const head = `${headOf(lineSeverity)}${file}IMMUTAFS_OFFSET=`;
      encodeEachLine(chunk, programFields, (line, record, program, offset, end, isIncomplete) => {
        const incomplete = isIncomplete ? 'IMMUTAFS_INCOMPLETE=1\n' : '';
        const event =
          record === undefined
            ? ''
            : `_SOURCE_REALTIME_TIMESTAMP=${record.time}\n_AUDIT_ID=${record.serial}\n`;
        const text = `${head}${offset}\n${incomplete}${program}${event}${binary('MESSAGE', line)}\n`;
        out.push({ text, cursor: filePosition(id, end) });
      });
    },
    encodeNotice: (message, out) => {
      const text = `${headOf(4)}SYSLOG_IDENTIFIER=immutafs-agent\nMESSAGE=${cleanBytes(message)}\n\n`;
      out.push({ text, cursor: '' });
    },
  };
}

/** Returns the fields that depend on the type of a record only, as journald sets them (systemd.journal-fields(7)). */
function programFields(record: AuditRecord | undefined, program: string): string {
  const type = record === undefined ? '' : field('_AUDIT_TYPE_NAME', record.type);
  return `SYSLOG_FACILITY=${lineFacility(record)}\n${field('SYSLOG_IDENTIFIER', program)}${type}`;
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
