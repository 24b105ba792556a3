// Protocols: relp, relp+tls, syslog+tcp, syslog+tls, syslog+udp, journal+http, journal+https
import * as assert from 'uvu/assert';
import { configure, forwardState, savedCursor, startAgent } from '../support/agent.ts';
import { guestTls } from '../support/certificates.ts';
import { LiveJournal, journalField, lastCursor, numbered, writeJournal } from '../support/journal.ts';
import { protocols } from '../support/protocols.ts';
import { until } from '../support/until.ts';
import { wireSuite } from '../support/wire-suite.ts';

const smoke = await wireSuite(import.meta.filename, 'every protocol');

for (const { scheme, forward, start, stored } of protocols) {
  // No more entries than fit into the receiver's buffer, because UDP does not guarantee delivery.
  const count = scheme === 'syslog+udp' ? 500 : 5000;
  smoke(`${scheme}: existing and new entries arrive once and in order, also after a restart`, async () => {
    configure({ FORWARD: forward, ...guestTls });
    writeJournal(numbered('old', count), 'old');
    const live = new LiveJournal();
    await start();
    const first = startAgent();
    await until('old entries', () => stored().length >= count);
    live.append(numbered('new', 10));
    await until('the count', () => forwardState()?.counts.acknowledged === count + 10);
    assert.is(await first.stop(), 0);
    assert.equal([forwardState()?.state, savedCursor()], ['stopped', lastCursor()]);
    live.append(numbered('later', 10));
    const second = startAgent();
    await until('later entries', () => stored().length >= count + 20);
    assert.is(await second.stop(), 0);
    assert.equal(stored(), journalField('MESSAGE'));
  });
}

smoke.run();
