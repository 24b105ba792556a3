// Protocols: relp, relp+tls
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure, forgetState, forwardState, savedCursor, startAgent } from '../support/agent.ts';
import { guestTls, makeCertificates, serverName } from '../support/certificates.ts';
import { LiveJournal, clearJournal, journalField, numbered, writeJournal } from '../support/journal.ts';
import { enterNamespaces } from '../support/namespaces.ts';
import { endAll } from '../support/program.ts';
import { clearStored, startRsyslog, storedEntries, storedLines } from '../support/rsyslog.ts';
import { until } from '../support/until.ts';

await enterNamespaces(import.meta.filename);

const relp = suite('wire, smoke: RELP');

relp.before(makeCertificates);
relp.before.each(() => {
  clearJournal();
  clearStored();
  forgetState();
});
relp.after.each(endAll);

relp('relp: forwards existing and new entries in order, and saves the last cursor', async () => {
  configure({ FORWARD: 'relp://127.0.0.1:2514' });
  writeJournal(numbered('old', 5000), 'old');
  const live = new LiveJournal();
  await startRsyslog('rsyslog-relp.conf', 2514);
  const agent = startAgent();
  await until('old entries', () => storedLines() >= 5000);
  live.append(numbered('new', 10));
  await until('new entries', () => storedLines() >= 5010);
  assert.is(await agent.stop(), 0);
  const stored = storedEntries();
  assert.equal(
    stored.map(({ text }) => text),
    journalField('MESSAGE'),
  );
  assert.is(savedCursor(), stored.at(-1)?.data['cursor']);
  assert.is(forwardState()?.state, 'stopped');
});

relp('relp+tls: both sides authenticate, and all entries arrive', async () => {
  configure({ FORWARD: `relp+tls://${serverName}:2514`, ...guestTls });
  writeJournal(numbered('entry', 5000));
  await startRsyslog('rsyslog-relp-tls.conf', 2514);
  const agent = startAgent();
  await until('all entries', () => storedLines() >= 5000);
  assert.is(await agent.stop(), 0);
  assert.is(new Set(storedEntries().map(({ text }) => text)).size, 5000);
  assert.is(storedLines(), 5000);
});

relp.run();
