// Protocols: relp, relp+tls, journal+http
import { execFileSync, spawnSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import { forwarderUser } from '../../agent/assess/log-access.ts';
import { configure, forwardState, startAgent, untilState } from './support/agent.ts';
import { guestTls, serverName } from './support/certificates.ts';
import { LiveJournal, journalField, numbered } from './support/journal.ts';
import { startRemote, storedField } from './support/remote.ts';
import { startRelp, startRsyslog, storedEntries, storedTexts } from './support/rsyslog.ts';
import { until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

const servers = await wireSuite(import.meta.filename, 'several servers, and --test');

servers.before(() => {
  // The installed package has created this user, as which --test reads the log files.
  if (spawnSync('id', [forwarderUser]).status !== 0) execFileSync('useradd', ['--system', forwarderUser]);
});

const rsyslogHas = (text: string) => storedEntries().some((entry) => entry.text === text);

servers('uses the first server that answers, the preferred one when it is back, then another', async () => {
  configure({ FORWARD: `relp://127.0.0.1:2514 journal+http://127.0.0.1:19532` });
  const live = new LiveJournal();
  await startRemote('http');
  startAgent();
  const { target } = await untilState('connected');
  assert.is(target, 'journal+http://127.0.0.1:19532');
  live.append(numbered('away', 10));
  await until('the entries on the second server', () => storedField('MESSAGE').includes('away 9'));
  const preferred = await startRelp();
  await until('the first server again', () => forwardState()?.target === 'relp://127.0.0.1:2514', 40);
  live.append(numbered('back', 10));
  await until('the entries on the first server', () => rsyslogHas('back 9'));
  assert.not.ok(rsyslogHas('away 9'));
  assert.not.ok(storedField('MESSAGE').includes('back 0'));
  await preferred.kill();
  live.append(numbered('gone', 10));
  await until('the second server again', () => storedField('MESSAGE').includes('gone 9'));
  const both = [...storedField('MESSAGE'), ...storedTexts()];
  assert.equal([...new Set(both)].sort(), journalField('MESSAGE').sort());
});

servers('--test prints each step for each server, and the entry arrives', async () => {
  configure({
    FORWARD: `relp+tls://${serverName}:2514 journal+http://127.0.0.1:19532`,
    ...guestTls,
    FORWARD_FILES: '/etc/hosts /var/log/absent.log',
  });
  await startRsyslog('rsyslog-relp-tls.conf', 2514);
  await startRemote('http');
  const test = startAgent('--test');
  assert.is(await test.ended, 0);
  const steps = test
    .output()
    .split('\n')
    .map((line) => line.trim().split(/\s+/)[0]);
  assert.equal(steps, [
    `relp+tls://${serverName}:2514`,
    ...['name', 'connect', 'tls', 'protocol', 'send', 'accepted'],
    'journal+http://127.0.0.1:19532',
    ...['connect', 'protocol', 'send', 'accepted'],
    ...['log', 'read', 'absent'],
    '',
  ]);
  assert.match(test.output(), `TLSv1.3, ${serverName}, signed by wire authority`);
  const [mark = 'no mark'] = /immutafs-agent forward --test [0-9a-f-]{36}/.exec(test.output()) ?? [];
  await until('the entry', () =>
    storedField('MESSAGE').some((text) => text.startsWith('immutafs-agent forward')),
  );
  assert.match(mark, /test/);
});

servers('--test prints the error, with the certificate that the server presented', async () => {
  configure({ FORWARD: 'relp+tls://127.0.0.1:2514 relp://both.example.com:2515', ...guestTls });
  await startRsyslog('rsyslog-relp-tls.conf', 2514);
  const test = startAgent('--test');
  assert.is(await test.ended, 1);
  assert.match(test.output(), /tls +TLSv1\.3, log\.example\.com/);
  assert.match(test.output(), /FAILED +Hostname\/IP does not match/);
  const [failure = ''] = /FAILED +connect .*/.exec(test.output()) ?? [];
  for (const address of ['127.0.0.1', '::1']) assert.match(failure, `connect ECONNREFUSED ${address}:2515`);
});

servers.run();
