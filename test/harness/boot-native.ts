import fs from 'node:fs';
import path from 'node:path';
import { run } from '../../boot/commands.ts';
import type { Native } from '../../boot/native.ts';

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
  /** The devices that were set read-only. */
  setReadOnly: string[];
}

/**
 * Runs a command of immutafs-boot in Node, on the files below a directory (makeSysfs).
 * @param replaced functions of the native part that the test replaces
 */
export function runBoot(root: string, args: readonly string[], replaced: Partial<Native> = {}): Ran {
  const ran: Ran = { code: 0, stdout: '', stderr: '', setReadOnly: [] };
  ran.code = run({ ...nativeAt(root, ran), arguments: args, ...replaced });
  return ran;
}

/** boot/native.c in Node. Every text has one character per byte (Latin-1), also that of a name. */
function nativeAt(root: string, ran: Ran): Omit<Native, 'arguments'> {
  const at = (file: string) => Buffer.from(path.join(root, file), 'latin1');
  return {
    read: (file, limit, offset) => readBytes(at(file), limit, offset),
    list: (directory) => fs.readdirSync(at(directory), 'latin1'),
    resolve: (file) => resolveBelow(root, at(file)),
    mode: (file) => fs.lstatSync(at(file), { throwIfNoEntry: false })?.mode,
    print: (fd, text) => {
      if (/[^\0-\xff]/.test(text)) throw new Error(`not bytes: ${text}`);
      ran[fd === 1 ? 'stdout' : 'stderr'] += text;
    },
    setReadOnly: (file) => ran.setReadOnly.push(file),
    mapped: () => [...tables(root).keys()],
    table: (major, minor) => {
      const target = tables(root).get(`${major}:${minor}`);
      if (target === undefined) throw new Error('no such device');
      return [target];
    },
    run: () => undefined,
    limit: () => undefined,
    exit: () => {
      throw new Error('a command does not end the program');
    },
  };
}

function readBytes(file: Buffer, limit: number, offset = 0): string {
  const fd = fs.openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(limit);
    return buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, limit, offset));
  } finally {
    fs.closeSync(fd);
  }
}

function resolveBelow(root: string, file: Buffer): string {
  const resolved = fs.realpathSync.native(file, 'latin1');
  return resolved.slice(fs.realpathSync.native(root, 'latin1').length) || '/';
}

/** The targets that makeSysfs has written for boot-program-main.ts, by device. */
function tables(root: string): Map<string, string> {
  const lines = fs.readFileSync(path.join(root, 'usr/libexec/immutafs/device-tables'), 'latin1').split('\n');
  return new Map(lines.filter((line) => line !== '').map((line) => line.split(' ') as [string, string]));
}
