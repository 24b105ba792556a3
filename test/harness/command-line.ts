import * as assert from 'uvu/assert';
import { run } from '../../agent/cli.ts';
import type { SystemReader } from '../../agent/system/reader.ts';
import { systemWriter } from '../../agent/system/writer.ts';
import { type Guest, withGuest } from './guest.ts';

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

interface Options {
  terminal?: boolean;
  columns?: number;
  /** The directory below which the command may write. If undefined, a command that writes fails. */
  root?: string;
}

/** Runs one command line in this process. */
export async function runCommand(
  reader: SystemReader,
  argv: string[],
  { terminal = false, columns, root }: Options = {},
): Promise<Ran> {
  const loadWriter = () =>
    root === undefined ? Promise.reject(new Error('must not write')) : Promise.resolve(systemWriter(root));
  const printed = { stdout: '', stderr: '' };
  const code = await run(argv, reader, loadWriter, {
    stdout: (text) => void (printed.stdout += text),
    stderr: (text) => void (printed.stderr += text),
    terminal,
    columns,
  });
  return { code, ...printed };
}

export const runIn = (guest: Guest, ...argv: string[]): Promise<Ran> =>
  withGuest(guest, (reader) => runCommand(reader, argv));

/** Asserts that a text is one line that matches a pattern and is not part of a stack trace. */
export function assertOneLine(text: string, expected: RegExp): void {
  assert.match(text, /^immutafs-agent: [^\n]+\n$/);
  assert.match(text, expected);
  assert.not.match(text, /\bat .*:\d+|Error:/);
}
