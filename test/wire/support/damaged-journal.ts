import fs from 'node:fs';
import * as assert from 'uvu/assert';
import { forwardState, startAgent } from './agent.ts';
import { numbered, writeJournal } from './journal.ts';
import { startRsyslog, storedEntries } from './rsyslog.ts';
import { until } from './until.ts';

const count = 2000;

/**
 * Overwrites 400 bytes in the middle of a journal file. Asserts that the entries that can be read arrive once, by RELP, and
 * that the others are counted as lost.
 */
export async function forwardDamagedJournal(): Promise<void> {
  const file = writeJournal(numbered('entry', count));
  const bytes = fs.readFileSync(file);
  const middle = bytes.indexOf(`MESSAGE=entry ${count / 2}`);
  bytes.fill(0xff, middle - 200, middle + 200);
  fs.writeFileSync(file, bytes);
  await startRsyslog('rsyslog-relp.conf', 2514);
  const agent = startAgent();
  const texts = () => storedEntries().map(({ text }) => text);
  await until('the last entry', () => texts().includes(`entry ${count - 1}`), 60);
  await agent.stop();
  assert.ok(texts().length >= count - 20, `${texts().length}`);
  assert.is(forwardState()?.counts.lost, count - texts().length);
  assert.is(new Set(texts()).size, texts().length);
}
