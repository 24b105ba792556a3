import { parseAuditRecord } from '../../lib/audit-record.ts';
import { SystemError, unlessSystemError } from '../../lib/errors.ts';
import { decodeBytes } from '../../lib/format.ts';
import { findAuditTrail } from '../../facts/security/audit.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import { normalised } from './refused-writes.ts';

/** A write that the kernel refused with EROFS. */
export interface Denial {
  /** The program, for example /usr/sbin/chronyd. */
  program: string;
  path: string;
}

const programs = ['/usr/sbin/auditctl', '/sbin/auditctl'];
const key = 'immutafs-rehearsal';
/** The system calls that fail with EROFS. The names are known to the auditctl of RHEL 7. */
const calls = [
  ...['open', 'openat', 'creat', 'truncate', 'mkdir', 'mkdirat', 'mknod', 'mknodat', 'rename', 'renameat'],
  ...['unlink', 'unlinkat', 'rmdir', 'link', 'linkat', 'symlink', 'symlinkat', 'chmod', 'fchmodat'],
  ...['chown', 'lchown', 'fchownat', 'setxattr', 'lsetxattr', 'utimensat'],
];
/** Later auditctl know it; mv(1) uses it. It has a rule of its own, because an unknown name makes a rule fail. */
const laterCalls = ['renameat2'];
const rules = [calls, laterCalls].map((names) => [
  ...['always,exit', '-F', 'arch=b64', ...names.flatMap((name) => ['-S', name])],
  ...['-F', 'exit=-EROFS', '-k', key],
]);
const own = /^\/usr\/(libexec\/immutafs\/|bin\/immutafs-agent$)/;

const most = 2000;
const longestRead = 1024 * 1024;

/**
 * Records writes that the kernel refuses with EROFS, with a rule of the audit system. This needs auditctl(8) and a
 * running auditd. The rule exists until `stop` is called or the guest reboots.
 */
export class AuditWatch {
  readonly denials: Denial[] = [];
  /** What is recorded, or why nothing is. */
  source = 'not recorded';
  readonly #reader: SystemReader;
  readonly #writer: SystemWriter;
  #program = '';
  #file = '';
  #offset = 0;
  readonly #parser = new DenialParser();

  constructor(reader: SystemReader, writer: SystemWriter) {
    this.#reader = reader;
    this.#writer = writer;
  }

  /** Adds the rules. Never throws: without them, only messages are recorded. */
  async start(): Promise<void> {
    const problem = await this.#begin().catch((error: unknown) => {
      if (!(error instanceof SystemError)) throw error;
      return error.message;
    });
    this.source =
      problem === undefined
        ? 'writes that the kernel refused were recorded (auditd)'
        : `only messages were recorded: ${problem}`;
  }

  /** @returns why nothing is recorded; undefined if it is */
  async #begin(): Promise<string | undefined> {
    const found = programs.find((program) => this.#reader.stat(program) !== undefined);
    if (found === undefined) return 'auditctl is not installed';
    const file = findAuditTrail(this.#reader)?.file;
    if (file === undefined) return 'auditd does not run, or writes no log';
    const status = await this.#writer.run(found, ['-s'], 10);
    const enabled = /^enabled (\d)$/m.exec(status.stdout)?.[1];
    if (enabled !== '1') return enabled === '2' ? 'the audit rules are locked' : 'auditing is off';
    this.#file = file;
    this.#offset = this.#reader.stat(file)?.bytes ?? 0;
    const added = [];
    for (const rule of rules) added.push(await this.#writer.run(found, ['-a', ...rule], 10));
    if (added.every(({ exit }) => exit !== 0))
      return `auditctl: ${added[0]?.stderr.trim().split('\n')[0] ?? ''}`;
    this.#program = found;
    return undefined;
  }

  async stop(): Promise<void> {
    if (this.#program === '') return;
    for (const rule of rules) await this.#writer.run(this.#program, ['-d', ...rule], 10);
  }

  /** Reads the records that auditd has written since the last call. */
  read(): void {
    if (this.#program === '') return;
    const bytes = unlessSystemError(() => this.#reader.stat(this.#file)?.bytes) ?? 0;
    // auditd has rotated its log. The records between the last call and the rotation are lost.
    if (bytes < this.#offset) this.#offset = 0;
    while (this.#offset < bytes && this.denials.length < most) {
      const wanted = Math.min(longestRead, bytes - this.#offset);
      const text = unlessSystemError(() => this.#reader.readAt(this.#file, this.#offset, wanted)) ?? '';
      const end = text.lastIndexOf('\n') + 1;
      // An incomplete line is read again by the next call. A longer one is not a record.
      if (end === 0 && text.length < longestRead) return;
      this.#offset += end === 0 ? text.length : end;
      for (const line of text.slice(0, end).split('\n')) this.denials.push(...this.#parser.push(line));
    }
  }
}

/** Finds the refused writes in records of the audit trail. An event is several records: SYSCALL, CWD, PATH. */
export class DenialParser {
  #serial = '';
  #program = '';
  #cwd = '';
  /** The parent folder of the event's file, until the file itself is recorded. */
  #folder = '';

  /** @param line a line of auditd's log, one character per byte @returns the denials that the line completes */
  push(line: string): Denial[] {
    const record = parseAuditRecord(line);
    if (record === undefined) return [];
    const { type, serial } = record;
    if (type === 'SYSCALL') {
      const missed = this.#end();
      const isOurs = line.includes(` key="${key}"`) && / exit=-30 /.test(line);
      this.#serial = isOurs ? serial : '';
      this.#program = text(/ exe=("[^"]*"|[0-9A-F]+)/.exec(line)?.[1]);
      this.#cwd = '';
      return missed;
    }
    if (serial !== this.#serial || own.test(this.#program)) return [];
    if (type === 'CWD') this.#cwd = text(/ cwd=("[^"]*"|[0-9A-F]+)/.exec(line)?.[1]);
    if (type === 'EOE' || type === 'PROCTITLE') return this.#end();
    if (type !== 'PATH') return [];
    const name = text(/ name=("[^"]*"|[0-9A-F]+)/.exec(line)?.[1]);
    const path = normalised(name.startsWith('/') || name === '' ? name : `${this.#cwd}/${name}`);
    if (path === null) return [];
    if (line.includes(' nametype=PARENT')) {
      this.#folder ||= path;
      return [];
    }
    this.#folder = '';
    return [{ program: this.#program, path }];
  }

  /** Ends an event. If only the parent folder of the file was recorded, returns the folder. */
  #end(): Denial[] {
    const [serial, folder] = [this.#serial, this.#folder];
    this.#serial = this.#folder = '';
    return serial === '' || folder === '' ? [] : [{ program: this.#program, path: folder }];
  }
}

/** Decodes a value that the kernel writes in quotes or, with special characters, in hexadecimal (audit_log_untrustedstring). */
function text(value = ''): string {
  if (value.startsWith('"')) return value.slice(1, -1);
  return decodeBytes(Buffer.from(value, 'hex').toString('latin1'));
}
