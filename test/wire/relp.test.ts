// Protocols: relp
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure, forgetState, startAgent, untilState } from './support/agent.ts';
import { clearJournal, journalField, numbered, writeJournal } from './support/journal.ts';
import { endAll } from './support/program.ts';
import { clearStored, startRsyslog, storedEntries, storedLines } from './support/rsyslog.ts';
import { until } from './support/until.ts';
import { enterNamespaces } from './support/namespaces.ts';

await enterNamespaces(import.meta.filename);

const relp = suite('wire: RELP');

relp.before.each(() => {
  clearJournal();
  clearStored();
  forgetState();
  configure({ FORWARD: 'relp://127.0.0.1:2514' });
});
relp.after.each(endAll);

relp('continues after the last acknowledged entry after a restart, and repeats no entry', async () => {
  writeJournal(numbered('first', 100), 'first');
  await startRsyslog('rsyslog-relp.conf', 2514);
  const first = startAgent();
  await until('first entries', () => storedLines() >= 100);
  await first.stop();
  writeJournal(numbered('second', 100), 'second');
  const second = startAgent();
  await untilState('connected');
  await until('second entries', () => storedLines() >= 200);
  await second.stop();
  assert.equal(
    storedEntries().map(({ text }) => text),
    journalField('MESSAGE'),
  );
});

relp.run();
