import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { ExportParser } from '../../../agent/lib/journal-export/parser.ts';
import { type Program, listening, start } from './program.ts';

export const remoteDirectory = '/var/log/journal/remote';
const configuration = new URL('../../../docs/log-server/journal-remote.conf', import.meta.url).pathname;

/**
 * Starts systemd-journal-remote. For https, it uses the configuration in docs/log-server. For http, the split mode is
 * set by an option, because it has no default without a socket unit.
 */
export async function startRemote(scheme: 'http' | 'https', port = 19532): Promise<Program> {
  fs.mkdirSync(remoteDirectory, { recursive: true });
  // The file is removed below, because the tests also use systemd-journal-remote to write their journals.
  const installed = '/etc/systemd/journal-remote.conf';
  fs.copyFileSync(configuration, installed);
  const options = scheme === 'https' ? [] : ['--split-mode=none'];
  const output = scheme === 'https' ? remoteDirectory : `${remoteDirectory}/all.journal`;
  const server = start('/usr/lib/systemd/systemd-journal-remote', [
    `--listen-${scheme}=[::]:${port}`,
    ...options,
    '-o',
    output,
  ]);
  await listening(port);
  fs.rmSync(installed);
  return server;
}

export function clearRemote(): void {
  fs.rmSync(remoteDirectory, { recursive: true, force: true });
}

/** Returns all stored entries, in the export format and in the order of the server. */
export function storedExport(): Buffer {
  if (!fs.existsSync(remoteDirectory) || fs.readdirSync(remoteDirectory).length === 0) return Buffer.alloc(0);
  return execFileSync('journalctl', ['-q', '--no-pager', '-o', 'export', '-D', remoteDirectory], {
    maxBuffer: 1024 ** 3,
  });
}

/** Returns one field of every stored entry that contains the field. */
export function storedField(field: string): string[] {
  if (!fs.existsSync(remoteDirectory) || fs.readdirSync(remoteDirectory).length === 0) return [];
  const options = ['-q', '--no-pager', '-o', 'cat', `--output-fields=${field}`, '-D', remoteDirectory];
  return execFileSync('journalctl', options, { maxBuffer: 1024 ** 3 })
    .toString('latin1')
    .split('\n')
    .slice(0, -1);
}

/** Returns the entries of an export, without the fields that differ in every file (cursor, sequence numbers). */
export function bareEntries(bytes: Buffer): string[] {
  return exportedFields(bytes).map((fields) =>
    fields
      .filter((field) => !/^__(CURSOR|SEQNUM|SEQNUM_ID)=/.test(field))
      .map(short)
      .sort()
      .join('\n'),
  );
}

/** Returns the fields of each entry of an export, "NAME=value", one character per byte (latin1). */
export function exportedFields(bytes: Buffer): string[][] {
  const entries: string[][] = [];
  let pieces = '';
  for (const { kind, text } of new ExportParser(undefined).push(bytes)) {
    pieces += text;
    if (kind === 'piece') continue;
    entries.push(fieldsOf(pieces));
    pieces = '';
  }
  return entries;
}

function fieldsOf(text: string): string[] {
  const fields: string[] = [];
  let at = 0;
  while (text[at] !== '\n') {
    const line = text.indexOf('\n', at);
    const sign = text.indexOf('=', at);
    if (sign >= 0 && sign < line) {
      fields.push(text.slice(at, line));
      at = line + 1;
    } else {
      const length = Number(Buffer.from(text.slice(line + 1, line + 9), 'latin1').readBigUInt64LE());
      fields.push(`${text.slice(at, line)}=${text.slice(line + 9, line + 9 + length)}`);
      at = line + 10 + length;
    }
  }
  return fields;
}

function short(field: string): string {
  if (field.length <= 1000) return field;
  const digest = createHash('sha256').update(field, 'latin1').digest('hex');
  return `${field.slice(0, 20)}… ${field.length} bytes, ${digest}`;
}
