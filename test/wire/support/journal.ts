import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { type Program, start } from './program.ts';
import { until } from './until.ts';

const remote = '/usr/lib/systemd/systemd-journal-remote';
const machine = fs.readFileSync('/etc/machine-id', 'utf8').trim();
export const journalDirectory = `/run/log/journal/${machine}`;
export const bootId = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().replaceAll('-', '');

export type Value = string | Buffer;

/** The fields of an entry. A list contains the values of a repeated field. */
export type EntryFields = Record<string, Value | Value[]>;

let clock = Number(process.hrtime.bigint() / 1000n) - 60_000_000;
const bootTime = Date.now() * 1000 - Number(process.hrtime.bigint() / 1000n);

/** Returns an entry of this boot in the export format, timestamped one microsecond after the previous entry. */
export function exportEntry(fields: EntryFields): Buffer {
  clock += 1;
  const whole: EntryFields = {
    __REALTIME_TIMESTAMP: String(bootTime + clock),
    __MONOTONIC_TIMESTAMP: String(clock),
    _BOOT_ID: bootId,
    _TRANSPORT: 'journal',
    PRIORITY: '6',
    SYSLOG_IDENTIFIER: 'wire',
    _HOSTNAME: 'guest1',
    _MACHINE_ID: machine,
    ...fields,
  };
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(whole)) {
    for (const each of Array.isArray(value) ? value : [value])
      parts.push(exportField(name, Buffer.from(each)));
  }
  return Buffer.concat([...parts, Buffer.from('\n')]);
}

function exportField(name: string, value: Buffer): Buffer {
  // The binary form is permitted for every value, and required for some of them.
  if (/^[ -~]*$/.test(value.toString('latin1')))
    return Buffer.from(`${name}=${value.toString('latin1')}\n`, 'latin1');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(value.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, value, Buffer.from('\n')]);
}

/** Returns `count` entries "PREFIX 0", "PREFIX 1", … in the export format. */
export function numbered(prefix: string, count: number, from = 0): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, n) => exportEntry({ MESSAGE: `${prefix} ${from + n}` })),
  );
}

/** Disables compression, because readers other than journalctl cannot read compressed fields of the created files. */
const uncompressed = 'SYSTEMD_JOURNAL_COMPRESS=0';

export function writeJournal(entries: Buffer, name = 'system'): string {
  fs.mkdirSync(journalDirectory, { recursive: true });
  const source = `/run/${randomBytes(4).toString('hex')}.export`;
  const file = `${journalDirectory}/${name}.journal`;
  fs.writeFileSync(source, entries);
  execFileSync('env', [uncompressed, remote, '-o', file, source], { stdio: 'ignore' });
  fs.rmSync(source);
  return file;
}

/** A journal file that grows while it is read. */
export class LiveJournal {
  readonly #writer: Program;

  constructor(name = 'system') {
    fs.mkdirSync(journalDirectory, { recursive: true });
    const file = `${journalDirectory}/${name}.journal`;
    this.#writer = start('env', [uncompressed, remote, '-o', file, '-'], 'pipe');
    // Wait, because a test may change systemd-journal-remote's configuration next.
    execFileSync('timeout', ['10', 'sh', '-c', 'until [ -e "$1" ]; do sleep 0.01; done', 'sh', file]);
  }

  append(entries: Buffer): void {
    this.#writer.process.stdin?.write(entries);
  }

  /** Waits until the writer has read everything that was appended. */
  async taken(): Promise<void> {
    await new Promise((resolve) => this.#writer.process.stdin?.write('', resolve));
  }

  async close(): Promise<void> {
    this.#writer.process.stdin?.end();
    await this.#writer.ended;
  }
}

/** Returns one field of every journal entry, in order, as printed by journalctl. */
export function journalField(field: string): string[] {
  const text = execFileSync('journalctl', ['-q', '--no-pager', '-o', 'cat', `--output-fields=${field}`], {
    maxBuffer: 1024 ** 3,
  });
  return text.toString('latin1').split('\n').slice(0, -1);
}

/** Returns the whole journal in the export format. */
export function journalExport(): Buffer {
  return execFileSync('journalctl', ['-q', '--no-pager', '-o', 'export'], { maxBuffer: 1024 ** 3 });
}

export function lastCursor(): string {
  const text = execFileSync('journalctl', ['-q', '-n', '1', '-o', 'cat', '--show-cursor']).toString('latin1');
  return /-- cursor: (\S+)\n$/.exec(text)?.[1] ?? '';
}

export function clearJournal(): void {
  fs.rmSync('/run/log/journal', { recursive: true, force: true });
  fs.rmSync('/var/log/journal', { recursive: true, force: true });
}

const socket = '/run/systemd/journal/socket';

/** Starts the real journald, without kernel and audit messages, which belong to the machine that runs the tests. */
export async function startJournald(settings: Record<string, string> = {}): Promise<Program> {
  const lines = { Audit: 'no', ReadKMsg: 'no', RateLimitIntervalSec: '0', Storage: 'volatile', ...settings };
  const text = Object.entries(lines).map(([key, value]) => `${key}=${value}\n`);
  fs.writeFileSync('/etc/systemd/journald.conf', `[Journal]\n${text.join('')}`);
  fs.mkdirSync('/run/systemd/journal', { recursive: true });
  fs.rmSync(socket, { force: true });
  const journald = start('/usr/lib/systemd/systemd-journald', []);
  await until('journald', () => fs.existsSync(socket));
  return journald;
}

export function logFields(fields: readonly string[]): void {
  // Node does not support datagrams on Unix sockets, and logger(1) sends at most 512 fields.
  const send =
    'import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.stdin.buffer.read(), sys.argv[1])';
  execFileSync('python3', ['-c', send, socket], { input: `${fields.join('\n')}\n` });
}

export function logLines(lines: readonly string[]): void {
  execFileSync('systemd-cat', ['-t', 'wire', 'cat'], { input: lines.map((line) => `${line}\n`).join('') });
}

/** Makes journald write all received messages and rotate its files. */
export function rotate(...options: string[]): void {
  execFileSync('journalctl', ['--sync']);
  execFileSync('journalctl', ['--rotate', ...options], { stdio: 'pipe' });
}
