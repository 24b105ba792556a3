import { serverName } from './certificates.ts';
import type { Program } from './program.ts';
import { startRemote, storedField } from './remote.ts';
import { startRsyslog, storedEntries } from './rsyslog.ts';

/** A server whose protocol acknowledges entries. */
export interface Acknowledging {
  forward: string;
  server: () => Promise<Program>;
  /** Returns the text of every stored message, in order. */
  stored: () => string[];
  /**
   * The maximum number of entries that are repeated after a crash. For uploads, this is the size of the second request of
   * a connection and of a run; the tests send too few entries for a larger request to be interrupted.
   */
  window: number;
}

const rsyslogTexts = () => storedEntries().map(({ text }) => text);
export const acknowledging: Acknowledging[] = [
  {
    forward: `relp://${serverName}:2514`,
    server: () => startRsyslog('rsyslog-relp.conf', 2514),
    stored: rsyslogTexts,
    window: 1024,
  },
  {
    forward: `relp+tls://${serverName}:2514`,
    server: () => startRsyslog('rsyslog-relp-tls.conf', 2514),
    stored: rsyslogTexts,
    window: 1024,
  },
  {
    forward: `journal+http://${serverName}:19532`,
    server: () => startRemote('http'),
    stored: () => storedField('MESSAGE'),
    window: 17_408,
  },
  {
    forward: `journal+https://${serverName}:19532`,
    server: () => startRemote('https'),
    stored: () => storedField('MESSAGE'),
    window: 17_408,
  },
];
