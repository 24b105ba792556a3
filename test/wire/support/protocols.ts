import * as assert from 'uvu/assert';
import { serverName } from './certificates.ts';
import { journalField } from './journal.ts';
import type { Program } from './program.ts';
import { startRemote, storedField } from './remote.ts';
import { startRsyslog, storedTexts } from './rsyslog.ts';
import { until } from './until.ts';

/** A protocol, with a server whose configuration is in docs/log-server. */
export interface Protocol {
  scheme: string;
  forward: string;
  start: () => Promise<Program>;
  /** Returns the text of every stored entry, in the order of the server. */
  stored: () => string[];
  /**
   * The maximum number of entries that are repeated after a crash; 0 if the protocol does not acknowledge entries. For
   * uploads, this is the size of the second request of a connection and of a run; the tests send too few entries for a
   * larger request to be interrupted.
   */
  window: number;
}

const rsyslog = (scheme: string, name: string, port: number, window: number): Protocol => ({
  ...{ scheme, forward: `${scheme}://${serverName}:${port}`, window },
  // The server for syslog over UDP listens on a TCP port, too.
  start: () => startRsyslog(`rsyslog-${name}.conf`, port === 514 ? 601 : port),
  stored: storedTexts,
});
const remote = (scheme: 'http' | 'https'): Protocol => ({
  ...{ scheme: `journal+${scheme}`, forward: `journal+${scheme}://${serverName}:19532`, window: 17_408 },
  start: () => startRemote(scheme),
  stored: () => storedField('MESSAGE'),
});

export const protocols: Protocol[] = [
  rsyslog('relp', 'relp', 2514, 1024),
  rsyslog('relp+tls', 'relp-tls', 2514, 1024),
  rsyslog('syslog+tcp', 'syslog', 601, 0),
  rsyslog('syslog+tls', 'syslog-tls', 6514, 0),
  rsyslog('syslog+udp', 'syslog', 514, 0),
  remote('http'),
  remote('https'),
];

export const acknowledging = protocols.filter(({ window }) => window > 0);

/** Asserts that every entry is stored, and that at most one window of entries is repeated per interruption. */
export async function assertStored(
  { stored, window }: Protocol,
  count: number,
  times: number,
): Promise<void> {
  await until('all entries', () => new Set(stored()).size >= count, 60).catch((error: unknown) => {
    const present = new Set(stored());
    const missing = journalField('MESSAGE').filter((text) => !present.has(text));
    const [first, last] = [missing[0], missing.at(-1)];
    throw new Error(`${missing.length} of ${count} are missing, ${first} to ${last}: ${String(error)}`);
  });
  const texts = stored();
  assert.equal([...new Set(texts)].sort(), journalField('MESSAGE').sort());
  assert.ok(texts.length - count <= times * window, `${texts.length - count} repeated`);
}
