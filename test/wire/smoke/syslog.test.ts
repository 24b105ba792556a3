// Protocols: syslog+tcp, syslog+tls, syslog+udp
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure, forgetState, forwardState, startAgent } from '../support/agent.ts';
import { guestTls, makeCertificates, serverName } from '../support/certificates.ts';
import { clearJournal, journalField, numbered, writeJournal } from '../support/journal.ts';
import { enterNamespaces } from '../support/namespaces.ts';
import { endAll } from '../support/program.ts';
import { clearStored, startRsyslog, storedEntries, storedLines } from '../support/rsyslog.ts';
import { until } from '../support/until.ts';

await enterNamespaces(import.meta.filename);

const syslog = suite('wire, smoke: syslog');

syslog.before(makeCertificates);
syslog.before.each(() => {
  clearJournal();
  clearStored();
  forgetState();
});
syslog.after.each(endAll);

for (const [scheme, configuration, port, count] of [
  ['syslog+tcp', 'rsyslog-syslog.conf', 601, 20_000],
  ['syslog+tls', 'rsyslog-syslog-tls.conf', 6514, 20_000],
  // No more entries than fit into the receiver's buffer, because UDP does not guarantee delivery.
  ['syslog+udp', 'rsyslog-syslog.conf', 514, 500],
] as const) {
  syslog(`${scheme}: entries sent over an unbroken connection arrive in order`, async () => {
    configure({ FORWARD: `${scheme}://${serverName}`, ...guestTls });
    writeJournal(numbered('entry', count));
    await startRsyslog(configuration, configuration.includes('tls') ? port : 601);
    const agent = startAgent();
    await until('all entries', () => storedLines() >= count);
    await until('the count', () => forwardState()?.counts.acknowledged === count);
    assert.is(await agent.stop(), 0);
    assert.equal(
      storedEntries().map(({ text }) => text),
      journalField('MESSAGE'),
    );
  });
}

syslog.run();
