// Protocols: relp, relp+tls, journal+http, journal+https, syslog+tcp, syslog+tls
/** Tests that every entry is stored after the agent or the server was killed. */
import * as assert from 'uvu/assert';
import { parseCursor } from '../../agent/lib/journal-export/cursor.ts';
import { configure, savedCursor, startAgent, startAgentUntil, untilState } from './support/agent.ts';
import { guestTls } from './support/certificates.ts';
import { LiveJournal, journalField, numbered, writeJournal } from './support/journal.ts';
import type { Point } from './support/kill-at.ts';
import { acknowledging, assertStored, protocols } from './support/protocols.ts';
import { sleep, until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

const interruptions = await wireSuite(import.meta.filename, 'kill -9');

const count = 20_000;
/** Where the agent is killed, one after another. The first writes of a connection open the session. */
const points: [Point, number][] = [
  ['sending', 3],
  ['sent', 4],
  ['saving', 1],
  ['saved', 1],
];

for (const protocol of acknowledging) {
  const { forward, start, stored } = protocol;

  interruptions(`${forward}: the agent is killed at each point`, async () => {
    configure({ FORWARD: forward, ...guestTls });
    writeJournal(numbered('entry', count));
    await start();
    for (const [point, times] of points) {
      assert.is(await startAgentUntil(point, times).ended, null, point);
      const saved = parseCursor(savedCursor())?.sequence ?? 0;
      // What the killed connection sent may not be written yet.
      await until('the saved entry on the server', () => new Set(stored()).size >= saved);
    }
    startAgent();
    await assertStored(protocol, count, points.length);
  });

  interruptions(`${forward}: the server is killed when it has stored a part`, async () => {
    configure({ FORWARD: forward, ...guestTls });
    writeJournal(numbered('entry', count));
    let server = await start();
    startAgent();
    const parts = [1, 6000, 12_000];
    for (const part of parts) {
      await until(`${part} entries`, () => stored().length >= part);
      await server.kill();
      server = await start();
    }
    await assertStored(protocol, count, parts.length);
  });
}

for (const { scheme, forward, start, stored } of protocols.filter(({ scheme: name }) =>
  /^syslog\+t/.test(name),
)) {
  interruptions(`${scheme}: after a kill of the server, the last second is sent again`, async () => {
    configure({ FORWARD: forward, ...guestTls });
    const server = await start();
    startAgent();
    await untilState('connected');
    const journal = new LiveJournal();
    const appendSlowly = async (from: number) => {
      for (let n = from; n < from + 60; n += 1) {
        journal.append(numbered('entry', 1, n));
        await sleep(15);
      }
    };
    await appendSlowly(0);
    // The server has received the last entry, but the agent counts it as acknowledged only after a second.
    await until('the first 60 entries', () => stored().includes('entry 59'));
    await server.kill();
    await appendSlowly(60);
    await start();
    await untilState('connected');
    await appendSlowly(120);
    await until('the last', () => stored().includes('entry 179'));
    assert.equal([...new Set(stored())].sort(), journalField('MESSAGE').sort());
    const repeated = stored().length - 180;
    assert.ok(repeated > 0 && repeated <= 120, `${repeated} repeated`);
  });
}

interruptions.run();
