import fs from 'node:fs';
import type { Program } from './program.ts';
import { type StoredMessage, parseMessage, startRsyslog } from './rsyslog.ts';

const terminator = 'b7d1f0c26c8e4b0c';
const file = '/var/log/guests/guest1/journal.log';

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
  if (!fs.existsSync(file)) return [];
  return fs.readFileSync(file, 'latin1').split(terminator).slice(0, -1).map(parseMessage);
}
