import fs from 'node:fs';
import type { ForwardState } from '../../../agent/facts/forwarder.ts';
import { inPlace, node, repository } from '../../harness/repository.ts';
import { bootId, journalDirectory } from './journal.ts';
import type { Point } from './kill-at.ts';
import { type Program, start } from './program.ts';
import { until } from './until.ts';

const main = `${repository}/agent/main.ts`;
const directory = '/run/immutafs/forward';
/** Saves half of the time in which the agent starts from its sources. */
const cached = `--import=${repository}/test/harness/compile-cache.mjs`;

export function configure(lines: Record<string, string>): void {
  const text = Object.entries(lines).map(([key, value]) => `${key}=${value}\n`);
  fs.writeFileSync('/etc/immutafs/immutafs.conf', text.join(''));
}

export function startAgent(...args: string[]): Program {
  return start(process.execPath, [cached, main, 'forward', ...args]);
}

/** Starts the agent, which is killed when it has reached a point for the N-th time. */
export function startAgentUntil(point: Point, times: number): Program {
  const killAt = `--import=${repository}/test/wire/support/kill-at.ts`;
  const command = [process.execPath, cached, killAt, main, 'forward'];
  return start('env', [`IMMUTAFS_KILL_AT=${point} ${times}`, ...command]);
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
  const file = `${directory}/cursor`;
  return fs.existsSync(file) ? (/^CURSOR=(.*)$/m.exec(fs.readFileSync(file, 'utf8'))?.[1] ?? '') : '';
}

export function saveCursor(cursor: string): void {
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(`${directory}/cursor`, `BOOT=${bootId}\nCURSOR=${cursor}\n`);
}

export function forgetState(): void {
  fs.rmSync(directory, { recursive: true, force: true });
}

export async function untilState(state: ForwardState['state'], seconds = 30): Promise<ForwardState> {
  await until(`state ${state}`, () => forwardState()?.state === state, seconds);
  return forwardState() as ForwardState;
}
