import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  configure,
  forgetState,
  forwardState,
  savedCursor,
  startAgent,
  untilState,
} from './support/agent.ts';
import { LiveJournal, clearJournal, journalField, numbered, writeJournal } from './support/journal.ts';
import { endAll } from './support/program.ts';
import { clearStored, startRsyslog, storedEntries, storedLines } from './support/rsyslog.ts';
import { until } from './support/until.ts';
import { enterWorld } from './support/world.ts';

enterWorld(import.meta.filename);

const relp = suite('wire: RELP');

relp.before.each(() => {
  clearJournal();
  clearStored();
  forgetState();
  configure({ FORWARD: 'relp://127.0.0.1:2514' });
});
relp.after.each(endAll);

relp('delivers what is there and what comes, in order, and saves the last cursor', async () => {
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

relp('goes on where it was after a restart, without repeating an entry', async () => {
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
