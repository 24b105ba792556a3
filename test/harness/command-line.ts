import * as assert from 'uvu/assert';
import { run } from '../../agent/cli.ts';
import type { SystemReader } from '../../agent/system/reader.ts';
import { type Guest, withGuest } from './guest.ts';

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs one command line in this process. */
export async function runCommand(
  reader: SystemReader,
  argv: string[],
  { terminal = false, columns }: { terminal?: boolean; columns?: number } = {},
): Promise<Ran> {
  const printed = { stdout: '', stderr: '' };
  const code = await run(argv, reader, {
    stdout: (text) => void (printed.stdout += text),
    stderr: (text) => void (printed.stderr += text),
    terminal,
    columns,
  });
  return { code, ...printed };
}

export const runIn = (guest: Guest, ...argv: string[]): Promise<Ran> =>
  withGuest(guest, (reader) => runCommand(reader, argv));

/** One line, without the words of a stack trace. */
export function assertOneLine(text: string, expected: RegExp): void {
  assert.match(text, /^immutafs-agent: [^\n]+\n$/);
  assert.match(text, expected);
  assert.not.match(text, /\bat .*:\d+|Error:/);
}
