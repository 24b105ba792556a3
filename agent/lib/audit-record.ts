const idKey = 'msg=audit(';

/** A record of the audit trail (auditd(8)): `[node=NAME ]type=TYPE msg=audit(SECONDS.MILLISECONDS:SERIAL): …`. */
export interface AuditRecord {
  /** For example USER_LOGIN. */
  type: string;
  /** Microseconds since 1970, in decimal digits. */
  time: string;
  /** The serial number, which all records of an event share. */
  serial: string;
}

/** @returns undefined if the line is not a record of the audit trail */
export function parseAuditRecord(line: string): AuditRecord | undefined {
  return new AuditRecords().parse(line);
}

/**
 * Parses consecutive records. The id of an event is read once, because its records follow each other. There are no
 * regular expressions and few steps, because V8 interprets the shipped program (--jitless).
 */
export class AuditRecords {
  /** The last id, "SECONDS.MILLISECONDS:SERIAL)"; at first a line feed, which no line contains. */
  #id = '\n';
  #time = '';
  #serial = '';

  /** @returns undefined if the line is not a record of the audit trail */
  parse(line: string): AuditRecord | undefined {
    if (!line.startsWith('type=') && !line.startsWith('node=')) return undefined;
    const at = line.indexOf(idKey);
    // The kernel and auditd write the id right after the type, so that text in a record cannot pass for it.
    if (at < 0 || at > 512) return undefined;
    const type = line.lastIndexOf('type=', at);
    const from = at + idKey.length;
    if (type < 0 || (!line.startsWith(this.#id, from) && !this.#readId(line, from))) return undefined;
    return { type: line.slice(type + 5, at - 1), time: this.#time, serial: this.#serial };
  }

  #readId(line: string, from: number): boolean {
    const dot = from + 10;
    const colon = dot + 4;
    const end = line.indexOf(')', colon);
    if (line[dot] !== '.' || line[colon] !== ':' || end < 0 || end > colon + 21) return false;
    const [seconds, fraction, serial] = [
      line.slice(from, dot),
      line.slice(dot + 1, colon),
      line.slice(colon + 1, end),
    ];
    if (!isDigits(seconds) || !isDigits(fraction) || !isDigits(serial)) return false;
    this.#id = line.slice(from, end + 1);
    this.#time = `${seconds}${fraction}000`;
    this.#serial = serial;
    return true;
  }
}

function isDigits(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 48 || code > 57) return false;
  }
  return text !== '';
}

/**
 * Returns the offset at which the last audit event begins, if more of its records may follow; otherwise, the length of
 * the text. The records of an event are written one after another, and the last one is often of the type EOE.
 * @param text complete lines, one character per byte (latin1)
 */
export function openEventAt(text: string): number {
  const last = recordBefore(text, text.length);
  if (last.record === undefined || last.record.type === 'EOE') return text.length;
  let first = last.at;
  while (first > 0) {
    // The id is compared where it identifies a record, because the text of a record may contain any id.
    const { at, record } = recordBefore(text, first);
    if (record?.serial !== last.record.serial || record.time !== last.record.time) break;
    first = at;
  }
  return first;
}

interface RecordAt {
  at: number;
  record: AuditRecord | undefined;
}

/** Returns the record whose line ends at an offset. */
function recordBefore(text: string, end: number): RecordAt {
  const at = text.lastIndexOf('\n', end - 2) + 1;
  return { at, record: parseAuditRecord(text.slice(at, Math.min(end, at + 1024))) };
}
