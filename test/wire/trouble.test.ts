// Protocols: relp, relp+tls, journal+http, journal+https, syslog+tcp, syslog+tls
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import type net from 'node:net';
import * as assert from 'uvu/assert';
import { configure, forwardState, startAgent, untilState } from './support/agent.ts';
import { guestTls, serverDirectory, serverName } from './support/certificates.ts';
import { fakeServer, keyOf, relpServer, uploadServer } from './support/fake-server.ts';
import { LiveJournal, journalField, numbered, writeJournal } from './support/journal.ts';
import { type Program, activity, peakMemory } from './support/program.ts';
import { sleep, until } from './support/until.ts';
import { startRelp, storedLines } from './support/rsyslog.ts';
import { wireSuite } from './support/wire-suite.ts';

const trouble = await wireSuite(import.meta.filename, 'faulty servers and configurations');
const relp = { FORWARD: 'relp://127.0.0.1:2514' };

trouble.before.each(() => configure(relp));

const garbage = (socket: net.Socket) => void socket.write(Buffer.alloc(100_000, 0xab));
const mute = () => undefined;

const close = (socket: net.Socket) => void socket.end();
const say = (text: string) => (socket: net.Socket) => void socket.write(text);
const bytes4G = 'HTTP/1.1 202 Accepted\r\nContent-Length: 4294967296\r\n\r\n';

/** [protocol, behaviour, expected error, whether the server uses TLS although the protocol requires it] */
type FaultyServer = [string, (socket: net.Socket) => void, RegExp, boolean?];

const rows: Record<string, FaultyServer[]> = {
  plain: [
    ['relp', garbage, /not a RELP frame/],
    ['relp', say('1 rsp 10 500 no way\n'), /500 no way/],
    ['relp', close, /closed the connection/],
    ['journal+http', garbage, /Parse Error|closed/],
    ['journal+http', (s) => s.end('HTTP/1.1 404 No\r\n\r\n'), /404/],
    ['journal+http', stream('HTTP/1.1 202 Accepted\r\n', 'X: y\r\n'), /Header|closed/i],
    ['journal+http', stream(bytes4G, 'xxxx'), /response without end/],
  ],
  TLS: [
    ['relp+tls', garbage, /SSL|wrong version|packet/i, false],
    ['relp+tls', garbage, /not a RELP frame/],
    ['relp+tls', close, /closed the connection/],
    ['journal+https', garbage, /Parse Error|closed/],
    ['journal+https', stream(bytes4G, 'xxxx'), /response without end/],
    ['journal+https', close, /closed|hang up/],
    ['syslog+tls', close, /closed|disconnected/, false],
    // This server answers by accepting the connection, but accepts no entry.
    ['syslog+tcp', close, /closed/],
  ],
};

/** Sends a header and then an endless sequence of lines. */
function stream(head: string, line: string): (socket: net.Socket) => void {
  return (socket) => {
    socket.write(head);
    const timer = setInterval(() => socket.write(line.repeat(1000)), 10);
    socket.on('close', () => clearInterval(timer));
  };
}

for (const [what, row] of Object.entries(rows)) {
  trouble(`${what}: each error of faulty servers is logged; a good one receives every entry`, async () => {
    const targets = row.map(([scheme], n) => `${scheme}://${serverName}:${2520 + n}`);
    configure({ FORWARD: `${targets.join(' ')} relp://localhost:2514`, ...guestTls });
    const servers = await Promise.all(
      row.map(([scheme, behave, , secure = /tls|https/.test(scheme)], n) =>
        fakeServer(2520 + n, behave, secure ? keyOf(serverDirectory) : undefined),
      ),
    );
    writeJournal(numbered('entry', 1000));
    await startRelp();
    const agent = startAgent();
    await until('all entries', () => storedLines() === 1000);
    const lines = agent.output().split('\n');
    for (const [n, [, , reason]] of row.entries()) {
      const line = lines.find((each) => each.includes(`Cannot forward the journal to ${targets[n]}: `));
      assert.match(line ?? `no message about ${targets[n]}`, reason);
    }
    for (const { connections } of servers) assert.ok(connections <= 2, `${connections} connections`);
    assert.ok(peakMemory(agent.pid) < 200);
    assert.is(await agent.stop(20), 0);
  });
}

trouble('the only server is faulty: the error is reported, and it is tried again with pauses', async () => {
  configure({ FORWARD: `journal+https://${serverName}:2514`, ...guestTls });
  writeJournal(numbered('entry', 10));
  const server = await fakeServer(2514, close, keyOf(serverDirectory));
  const agent = startAgent();
  assert.match((await untilState('waiting')).error, /closed|hang up/);
  await until('another attempt', () => server.connections >= 2);
  await sleep(500);
  assert.ok(server.connections <= 3, `${server.connections} connections`);
  assert.is(forwardState()?.counts.acknowledged, 0);
  assert.is(await agent.stop(20), 0);
});

trouble('a server that never answers: the attempt ends, and the agent can be stopped', async () => {
  const server = await fakeServer(2514, mute);
  const agent = startAgent();
  await until('a connection', () => server.connections === 1);
  const others: { reason: RegExp; test: Program }[] = [];
  for (const [forward, reason] of Object.entries(silences)) {
    configure({ FORWARD: forward, ...guestTls });
    const test = startAgent('--test');
    await until('the start of --test', () => test.output().includes(forward));
    others.push({ reason, test });
  }
  await until('the reason', () => /no RELP response within 10 s/.test(forwardState()?.error ?? ''), 30);
  assert.is(await agent.stop(20), 0);
  for (const { reason, test } of others) {
    assert.is(await test.ended, 1);
    assert.match(test.output(), reason);
  }
});

/** The expected error for a server that sends nothing, by protocol. */
const silences: Record<string, RegExp> = {
  'relp://127.0.0.1:2514': /FAILED +no RELP response within 10 s/,
  'relp+tls://127.0.0.1:2514': /FAILED +TLS handshake not complete within 10 s/,
  'journal+http://127.0.0.1:2514': /FAILED +no response within 10 s/,
  'journal+https://127.0.0.1:2514': /FAILED +TLS handshake not complete within 10 s/,
};

trouble('the error names a host that cannot be resolved', async () => {
  configure({ FORWARD: 'relp://no-such-host.invalid:2514' });
  startAgent();
  assert.match((await untilState('waiting')).error, 'no-such-host.invalid');
});

trouble('without FORWARD, exits immediately with status 0', async () => {
  configure({});
  const agent = startAgent();
  assert.is(await agent.ended, 0);
  assert.match(agent.output(), 'FORWARD is empty');
});

trouble('the connection to a server that acknowledges one entry a second is kept', async () => {
  writeJournal(numbered('entry', 5000));
  const waiting: (() => void)[] = [];
  const answer = (txnr: number, socket: net.Socket) => {
    waiting.push(() => void socket.write(`${txnr} rsp 6 200 OK\n`));
  };
  const server = await fakeServer(2514, relpServer(answer));
  const answers = setInterval(() => waiting.shift()?.(), 1000);
  startAgent();
  await until('three answers', () => (forwardState()?.counts.acknowledged ?? 0) >= 3);
  clearInterval(answers);
  assert.is(server.connections, 1);
  assert.ok(waiting.length <= 1024, `${waiting.length} unacknowledged messages`);
});

trouble('an entry that the server refuses three times is skipped, and the next ones are sent', async () => {
  const live = new LiveJournal();
  live.append(numbered('entry', 3));
  let refused = 0;
  await fakeServer(
    2514,
    relpServer((txnr, socket, text) => {
      const bad = text.endsWith('] entry 1');
      if (bad) refused += 1;
      socket.write(bad ? `${txnr} rsp 6 500 no\n` : `${txnr} rsp 6 200 OK\n`);
    }),
  );
  startAgent();
  await until('the others', () => forwardState()?.counts.acknowledged === 3, 60);
  assert.is(forwardState()?.counts.refused, 1);
  assert.is(refused, 3);
});

trouble('an HTTP server that closes after some requests, like proxies: each entry arrives once', async () => {
  configure({ FORWARD: 'journal+http://127.0.0.1:2514' });
  writeJournal(numbered('entry', 30_000));
  const server = await uploadServer(2514, (response) => {
    response.writeHead(202, { Connection: server.requests % 3 === 0 ? 'close' : 'keep-alive' }).end();
  });
  const agent = startAgent();
  await until('all entries', () => server.stored.length >= 30_000);
  assert.is(await agent.stop(), 0);
  assert.equal(server.stored, journalField('MESSAGE'));
  assert.ok(server.requests > 3, `${server.requests} requests`);
  assert.is(forwardState()?.counts.repeated, 0);
  server.close();
});

trouble('an HTTP server that closes the connection during every request: no entry is skipped', async () => {
  configure({ FORWARD: 'journal+http://127.0.0.1:2514' });
  writeJournal(numbered('entry', 1));
  let refused = 0;
  const server = await uploadServer(2514, (response, entries) => {
    if (entries.length === 0 || refused >= 3) {
      response.writeHead(202).end();
      return;
    }
    refused += 1;
    server.stored.length = 0;
    response.destroy();
  });
  startAgent();
  await until('the acknowledgement', () => forwardState()?.counts.acknowledged === 1);
  assert.is(server.stored.at(-1), 'entry 0');
  assert.is(forwardState()?.counts.refused, 0);
  server.close();
});

trouble('if /run is full, entries are still delivered', async () => {
  fs.mkdirSync('/run/immutafs/forward', { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'wire', '/run/immutafs/forward']);
  try {
    fs.writeFileSync('/run/immutafs/forward/full', Buffer.alloc(4096));
    writeJournal(numbered('entry', 2000));
    await startRelp();
    const agent = startAgent();
    await until('all entries', () => storedLines() === 2000);
    assert.match(agent.output(), /no space left/);
    assert.ok(agent.output().split('\n').length < 10);
    await agent.stop();
  } finally {
    execFileSync('umount', ['/run/immutafs/forward']);
  }
});

trouble('an idle agent wakes up twice a second, and computes nothing', async () => {
  new LiveJournal().append(numbered('entry', 1));
  await startRelp();
  const agent = startAgent();
  await until('the entry', () => storedLines() === 1);
  await sleep(1500);
  const before = activity(agent.pid);
  await sleep(5000);
  const after = activity(agent.pid);
  // A few milliseconds of work take up to 50 ms on a virtual machine whose host has taken the memory of what was idle.
  const [waits, seconds] = [after.waits - before.waits, after.seconds - before.seconds];
  assert.ok(waits > 0 && waits <= 20 && seconds < 1, `it woke up ${waits} times and used ${seconds} s`);
});

trouble.run();
