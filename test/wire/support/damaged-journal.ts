import fs from 'node:fs';
import * as assert from 'uvu/assert';
import { configure, forwardState, startAgent } from './agent.ts';
import { numbered, writeJournal } from './journal.ts';
import { clearRemote, exportedFields, startRemote, storedExport } from './remote.ts';
import { startRsyslog, storedEntries } from './rsyslog.ts';
import { until } from './until.ts';

const count = 2000;

/**
 * Overwrites 400 bytes in the middle of a journal file. Asserts that the entries that can be read arrive once, and that
 * the others are counted.
 */
export async function forwardDamagedJournal(protocol: 'relp' | 'upload'): Promise<void> {
  const file = writeJournal(numbered('entry', count));
  const bytes = fs.readFileSync(file);
  const middle = bytes.indexOf(`MESSAGE=entry ${count / 2}`);
  bytes.fill(0xff, middle - 200, middle + 200);
  fs.writeFileSync(file, bytes);
  const texts = await serve(protocol);
  const agent = startAgent();
  await until('the last entry', () => texts().includes(`entry ${count - 1}`), 60);
  await agent.stop();
  assert.ok(texts().length >= count - 20, `${texts().length}`);
  const { lost = 0, corrupt = 0 } = forwardState()?.counts ?? {};
  assert.is(lost + corrupt, count - texts().length);
  assert.is(new Set(texts()).size, texts().length);
}

/** Starts a server. @returns a function that returns the entries of the damaged journal that have arrived */
async function serve(protocol: 'relp' | 'upload'): Promise<() => string[]> {
  if (protocol === 'relp') {
    configure({ FORWARD: 'relp://127.0.0.1:2514' });
    await startRsyslog('rsyslog-relp.conf', 2514);
    return () => storedEntries().map(({ text }) => text);
  }
  configure({ FORWARD: 'journal+http://127.0.0.1:19532' });
  clearRemote();
  await startRemote('http');
  return () =>
    exportedFields(storedExport())
      .filter((fields) => !fields.includes('SYSLOG_IDENTIFIER=immutafs-agent'))
      .map((fields) => fields.find((field) => field.startsWith('MESSAGE='))?.slice(8) ?? '');
}
