import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { type Program, start } from './program.ts';
import { until } from './until.ts';

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

/** Logs one entry with these fields. */
export function logFields(fields: readonly string[]): void {
  // Node does not support datagrams on Unix sockets, and logger(1) sends at most 512 fields.
  const send =
    'import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.stdin.buffer.read(), sys.argv[1])';
  execFileSync('python3', ['-c', send, socket], { input: `${fields.join('\n')}\n` });
}

/** Logs one entry per line. */
export function logLines(lines: readonly string[]): void {
  execFileSync('systemd-cat', ['-t', 'wire', 'cat'], { input: lines.map((line) => `${line}\n`).join('') });
}

/** Makes journald write all received messages and rotate its files. */
export function rotate(...options: string[]): void {
  execFileSync('journalctl', ['--sync']);
  execFileSync('journalctl', ['--rotate', ...options], { stdio: 'pipe' });
}
