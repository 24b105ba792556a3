import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withRunFolder } from './run-folder.ts';
import type { Boot, BootOptions, Guest } from './guest.ts';

/** A person at the console of a guest. */
export interface Console {
  /**
   * Waits until the console shows a text that was not there at the last call.
   *
   * @returns the match @throws with what the console shows instead, if the guest ends before
   */
  shows: (pattern: RegExp) => Promise<RegExpExecArray>;
  type: (line: string) => void;
  /** Runs a command in a shell at the console. @returns its exit code */
  run: (command: string) => Promise<number>;
}

/** Boots a guest while somebody works at its console. */
export async function bootWithConsole(
  guest: Guest,
  options: BootOptions,
  work: (console: Console) => Promise<void>,
): Promise<Boot> {
  return withRunFolder(async (folder) => {
    const consoleSocket = join(folder, 'console');
    const ended = new AbortController();
    const boot = guest.boot({ ...options, consoleSocket }).finally(() => ended.abort());
    const [result] = await Promise.all([boot, converse(consoleSocket, ended.signal, work)]);
    return result;
  });
}

async function converse(
  socket: string,
  ended: AbortSignal,
  work: (console: Console) => Promise<void>,
): Promise<void> {
  while (!existsSync(socket)) await sleep(50, undefined, { signal: ended });
  const connection = createConnection(socket);
  let unseen = '';
  connection.on('data', (data: Buffer) => (unseen += data.toString()));
  connection.on('error', () => undefined);
  const shows: Console['shows'] = async (pattern) => {
    for (;;) {
      const match = pattern.exec(unseen);
      if (match) {
        unseen = unseen.slice(match.index + match[0].length);
        return match;
      }
      if (ended.aborted)
        throw new Error(`the console does not show ${pattern}, but ends with:\n${unseen.slice(-2000)}`);
      await sleep(50);
    }
  };
  const type: Console['type'] = (line) => void connection.write(`${line}\n`);
  let commands = 0;
  const run: Console['run'] = async (command) => {
    const mark = `command ${++commands} ended with`;
    // The terminal echoes the line, in which no number follows the mark.
    type(`${command}; echo "${mark} $?"`);
    const [, code] = await shows(new RegExp(`${mark} (\\d+)`));
    return Number(code);
  };
  try {
    await work({ shows, type, run });
    // The guest has not necessarily read what was typed last.
    while (!ended.aborted) await sleep(50);
  } finally {
    connection.destroy();
  }
}
