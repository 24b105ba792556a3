import fs from 'node:fs';
import type { ForwardState } from '../../../agent/facts/forwarder.ts';
import { inPlace, node, repository } from '../../harness/repository.ts';
import { journalDirectory } from './journal.ts';
import { type Program, start } from './program.ts';
import { until } from './until.ts';

const main = `${repository}/agent/main.ts`;
const directory = '/run/immutafs/forward';
/** Saves half of the time in which the agent starts from its sources. */
const cached = `--import=${repository}/test/harness/compile-cache.ts`;

/** Writes the configuration. */
export function configure(lines: Record<string, string>): void {
  const text = Object.entries(lines).map(([key, value]) => `${key}=${value}\n`);
  fs.writeFileSync('/etc/immutafs/immutafs.conf', text.join(''));
}

export function startAgent(...args: string[]): Program {
  return start(process.execPath, [cached, main, 'forward', ...args]);
}

/**
 * Starts the agent as a user that may read only what every user may read, and the journal. `enterNamespaces` has mounted
 * the repository where this user can reach it.
 */
export function startAgentAsNobody(): Program {
  for (const name of ['', ...fs.readdirSync(journalDirectory)])
    fs.chmodSync(`${journalDirectory}/${name}`, 0o755);
  const user = ['--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs'];
  fs.mkdirSync(directory, { recursive: true });
  fs.chownSync(directory, 65534, 65534);
  return start('setpriv', [...user, node, inPlace(main), 'forward']);
}

export function forwardState(): ForwardState | undefined {
  try {
    return JSON.parse(fs.readFileSync(`${directory}/state.json`, 'utf8')) as ForwardState;
  } catch {
    return undefined;
  }
}

export function savedCursor(): string {
  return /^CURSOR=(.*)$/m.exec(fs.readFileSync(`${directory}/cursor`, 'utf8'))?.[1] ?? '';
}

export function saveCursor(boot: string, cursor: string): void {
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(`${directory}/cursor`, `BOOT=${boot}\nCURSOR=${cursor}\n`);
}

export function forgetState(): void {
  fs.rmSync(directory, { recursive: true, force: true });
}

export async function untilState(state: ForwardState['state'], seconds = 30): Promise<ForwardState> {
  await until(`state ${state}`, () => forwardState()?.state === state, seconds);
  return forwardState() as ForwardState;
}
