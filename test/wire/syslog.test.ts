// Protocols: syslog+tcp
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure, forgetState, startAgent } from './support/agent.ts';
import { clearJournal, exportEntry, numbered, writeJournal } from './support/journal.ts';
import { endAll } from './support/program.ts';
import { clearStored, startRsyslog, storedEntries, storedLines } from './support/rsyslog.ts';
import { until } from './support/until.ts';
import { enterNamespaces } from './support/namespaces.ts';

await enterNamespaces(import.meta.filename);

const syslog = suite('wire: syslog');

syslog.before.each(() => {
  clearJournal();
  clearStored();
  forgetState();
});
syslog.after.each(endAll);

const texts = () => storedEntries().map(({ text }) => text);

syslog('the header and the structured data contain the fields of the entry', async () => {
  configure({ FORWARD: 'syslog+tcp://127.0.0.1:601' });
  writeJournal(
    Buffer.concat([
      exportEntry({
        MESSAGE: 'from the kernel',
        _TRANSPORT: 'kernel',
        PRIORITY: '3',
        SYSLOG_IDENTIFIER: 'kernel',
        // The host name of entries from the initramfs. The name of this host is guest1.
        _HOSTNAME: 'localhost',
      }),
      exportEntry({
        MESSAGE: 'with everything [x="1"] <5>',
        SYSLOG_FACILITY: '10',
        PRIORITY: '4',
        SYSLOG_IDENTIFIER: 'a b\u00e9\n' + 'x'.repeat(60),
        SYSLOG_PID: '77',
        MESSAGE_ID: 'f'.repeat(32),
        _SYSTEMD_UNIT: 'odd\\x2d"]name.service',
        _UID: '1000',
      }),
      exportEntry({ MESSAGE: '', PRIORITY: '99', SYSLOG_FACILITY: '-1', SYSLOG_IDENTIFIER: [] }),
    ]),
  );
  await startRsyslog('rsyslog-syslog.conf', 601);
  const agent = startAgent();
  await until('all entries', () => storedLines() >= 3);
  await agent.stop();
  const [kernel, everything, nothing] = storedEntries();
  assert.is(kernel?.priority, 3);
  assert.is(kernel?.app, 'kernel');
  assert.match(kernel?.time ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.is(everything?.priority, 84);
  assert.is(everything?.app, `a_b__?${'x'.repeat(42)}`);
  assert.is(everything?.process, '77');
  assert.is(everything?.id, 'f'.repeat(32));
  assert.is(everything?.data['unit'], 'odd\\x2d"]name.service');
  assert.is(everything?.data['uid'], '1000');
  assert.is(everything?.text, 'with everything [x="1"] <5>');
  assert.is(nothing?.priority, 14);
  assert.is(nothing?.app, '-');
  assert.is(nothing?.text, '');
});

syslog('a long message arrives in parts that form the whole message', async () => {
  configure({ FORWARD: 'syslog+tcp://127.0.0.1:601' });
  const long = 'äöü€'.repeat(10_000);
  writeJournal(Buffer.concat([numbered('before', 1), exportEntry({ MESSAGE: long }), numbered('after', 1)]));
  await startRsyslog('rsyslog-syslog.conf', 601);
  const agent = startAgent();
  await until('the last', () => texts().includes('after 0'));
  await agent.stop();
  const parts = storedEntries().filter(({ data }) => data['part'] !== undefined);
  assert.is(Buffer.from(parts.map(({ text }) => text).join(''), 'latin1').toString(), long);
  assert.equal(
    parts.map(({ data }) => data['part']),
    parts.map((_, index) => `${index + 1}/${parts.length}`),
  );
});

syslog.run();
