import fs from 'node:fs';
import path from 'node:path';
import { type Program, listening, start } from './program.ts';

const configurations = path.resolve(import.meta.dirname, '../../../docs/log-server');
const stored = '/var/log/guests';

/** Starts rsyslog with a configuration in docs/log-server. */
export async function startRsyslog(configuration: string, port: number): Promise<Program> {
  fs.mkdirSync(stored, { recursive: true });
  // One PID file per server, because a second rsyslogd exits if it finds the PID file of the first.
  const pidFile = `/run/rsyslogd-${port}.pid`;
  fs.rmSync(pidFile, { force: true });
  const file = path.resolve(configurations, configuration);
  const server = start('rsyslogd', ['-n', '-i', pidFile, '-f', file]);
  await listening(port);
  return server;
}

export const startRelp = () => startRsyslog('rsyslog-relp.conf', 2514);

export interface StoredMessage {
  priority: number;
  time: string;
  host: string;
  app: string;
  process: string;
  id: string;
  data: Record<string, string>;
  text: string;
}

export function storedMessages(host = 'guest1'): StoredMessage[] {
  const lines = storedText(host).split('\n').slice(0, -1);
  return lines.map((line) => parseMessage(withoutTornStart(line)));
}

/** Returns what is stored of a guest, one character per byte (latin1). */
function storedText(host = 'guest1'): string {
  const file = `${stored}/${host}/journal.log`;
  return fs.existsSync(file) ? fs.readFileSync(file, 'latin1') : '';
}

/**
 * Removes the part of a message that rsyslog had written when it was killed. The same message, sent again, follows it on
 * the same line.
 */
function withoutTornStart(line: string): string {
  return line.replace(/^.*(?=<\d{1,3}>1 \d{4}-\d\d-\d\dT)/s, '');
}

/** Returns the stored messages of a guest, without the agent's own messages. */
export function storedEntries(host = 'guest1'): StoredMessage[] {
  return storedMessages(host).filter(({ app }) => app !== 'immutafs-agent');
}

export const storedTexts = () => storedEntries().map(({ text }) => text);

export function storedLines(host = 'guest1'): number {
  return storedText(host).split('\n').length - 1;
}

export function clearStored(): void {
  fs.rmSync(stored, { recursive: true, force: true });
}

export function parseMessage(line: string): StoredMessage {
  const [, priority, time = '', host = '', app = '', process = '', id = '', rest = ''] =
    /^<(\d+)>1 (\S+) (\S+) (\S+) (\S+) (\S+) (.*)$/s.exec(line) ?? [];
  const [elements = ''] = /^(\[[^ \]]+( [a-zA-Z]+="(\\.|[^\\"])*")*\])+|^-/.exec(rest) ?? [];
  const data: Record<string, string> = {};
  for (const [, key = '', value = ''] of elements.matchAll(/ ([a-zA-Z]+)="((?:\\.|[^\\"])*)"/g)) {
    data[key] = value.replace(/\\(.)/g, '$1');
  }
  const text = rest.slice(elements.length + 1);
  return { priority: Number(priority), time, host, app, process, id, data, text };
}

const terminator = 'b7d1f0c26c8e4b0c';

/**
 * Starts rsyslog with a configuration in docs/log-server that is changed to keep control characters and to write a
 * terminator after each message.
 */
export async function startExactServer(name = 'rsyslog-relp.conf'): Promise<Program> {
  const documented = fs.readFileSync(`docs/log-server/${name}`, 'utf8');
  const configuration = documented
    .replace('global(', 'global(parser.escapeControlCharactersOnReceive="off" ')
    .replace('%rawmsg%\\n', `%rawmsg%${terminator}`);
  fs.writeFileSync('/run/exact.conf', configuration);
  return startRsyslog('/run/exact.conf', 2514);
}

/** Returns all messages that this server stored, in order. */
export function exactMessages(): StoredMessage[] {
  return storedText().split(terminator).slice(0, -1).map(parseMessage);
}
