import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseConfig } from '../../../../agent/config/config.ts';
import { LogFiles } from '../../../../agent/forward/files/log-files.ts';
import { Daemon } from '../../../../agent/forward/pipeline/daemon.ts';
import { Checkpoint } from '../../../../agent/forward/pipeline/checkpoint.ts';
import { StatusWriter } from '../../../../agent/forward/status/status-writer.ts';
import { parseTargets } from '../../../../agent/config/forward-target.ts';
import { RateLimitedLog } from '../../../../agent/forward/status/rate-limited-log.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { systemWriter } from '../../../../agent/system/writer.ts';
import { type ForwardState, forwardStateFile } from '../../../../agent/facts/forwarder.ts';
import { whileTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const daemons = suite('daemon');
const minute = 60_000;
const started: Daemon[] = [];

class CountingLog extends RateLimitedLog {
  attempts = 0;
  override log(...[id, detail]: Parameters<RateLimitedLog['log']>): void {
    if (id === 'waiting') this.attempts += 1;
    super.log(id, detail);
  }
}

/** Returns a daemon that forwards to a port, with its log and state. The root of the system is `root`. */
function daemonTo(port: number, root: string, scheme = 'syslog+tcp', patterns: string[] = []) {
  // Use the real time, because with the mocked Date the status writer would detect a clock jump every second.
  const now = () => new Date(performance.timeOrigin + performance.now());
  const reader = { ...systemReader({ root }), now };
  const messages: string[] = [];
  const log = new CountingLog((_, text) => void messages.push(text), Date.now);
  const files = new LogFiles({
    ...{ patterns, records: [], auditFile: '', trusted: true, booted: () => 0 },
    ...{ firstOffset: () => 0, trouble: () => undefined },
  });
  const checkpoint = new Checkpoint('', files, () => undefined);
  const daemon = new Daemon({
    reader,
    targets: parseTargets(`${scheme}://127.0.0.1:${port}`),
    config: parseConfig('').config,
    clock: { realtime: () => 0, monotonic: () => 0, bootId: 'b'.repeat(32) },
    hostname: 'guest1',
    checkpoint,
    files,
    firstBoot: 'this',
    status: new StatusWriter({
      ...{ reader, writer: systemWriter(root), cursor: () => checkpoint.cursor },
      ...{ sources: () => files.state(), lostFiles: () => files.missedFiles, trouble: () => undefined },
    }),
    log,
  });
  started.push(daemon);
  const state = () => JSON.parse(fs.readFileSync(path.join(root, forwardStateFile), 'utf8')) as ForwardState;
  return { daemon, run: daemon.run.bind(daemon), messages, state, attempts: () => log.attempts };
}

/** Advances the mocked clock. Connections are real. */
async function pass(milliseconds: number, until: () => boolean = () => false): Promise<void> {
  for (let passed = 0; passed < milliseconds && !until(); passed += 500) {
    mock.timers.tick(500);
    for (let n = 0; n < 5; n += 1) await turn();
  }
}

/** Adds a test, which receives a server that never answers, its port, and a directory for the root of the system. */
function withServer(title: string, test: (server: net.Server, port: number, root: string) => Promise<void>) {
  daemons(title, () =>
    whileTemporaryDirectory(async (root) => {
      const sockets: net.Socket[] = [];
      const server = net.createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
      await listen(server, 0);
      try {
        await test(server, (server.address() as net.AddressInfo).port, root);
      } finally {
        mock.timers.reset();
        for (const daemon of started.splice(0)) daemon.abort();
        for (const socket of sockets) socket.destroy();
        server.close();
      }
    }),
  );
}

const listen = (server: net.Server, port: number) =>
  new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));

withServer(
  'after an hour without a server: tried twice a minute, one message, found in 31 s',
  async (server, port, root) => {
    await new Promise((resolve) => server.close(resolve));
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
    const { daemon, run, messages, state, attempts } = daemonTo(port, root);
    const ended = run();
    await pass(minute, () => attempts() > 0);
    await pass(60 * minute);
    assert.ok(attempts() >= 110 && attempts() <= 170, `${attempts()} attempts`);
    assert.equal(messages, [
      `Cannot forward the journal to syslog+tcp://127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`,
    ]);
    assert.is(state().state, 'waiting');
    await listen(server, port);
    await pass(31_000, () => daemon.connected);
    assert.ok(daemon.connected);
    assert.is(state().state, 'connected');
    daemon.finish();
    server.close();
    await pass(minute, () => !daemon.connected);
    await ended;
  },
);

withServer('the first state with a connection lists every log file, read or not', async (_, port, root) => {
  const files = ['one.log', 'other.log', 'directory.log'].map((name) => path.join(root, name));
  writeFiles(root, { 'one.log': 'a line\n', 'other.log': 'a line\n', 'directory.log/file': '' });
  const { daemon, run, state } = daemonTo(port, root, 'syslog+tcp', files);
  const ended = run();
  while (!daemon.connected) await turn();
  const { state: now, sources } = state();
  assert.is(now, 'connected');
  assert.equal(
    sources.map(({ path: name, error }) => [name, error !== '']),
    files.map((name, index) => [name, index === 2]),
  );
  daemon.abort();
  await ended;
});

withServer('abort ends a connection that is being established, silently', async (server, port, root) => {
  // The server accepts the connection and never answers RELP's `open`.
  const { daemon, run, messages, state } = daemonTo(port, root, 'relp');
  const ended = run();
  await once(server, 'connection');
  const start = performance.now();
  daemon.abort();
  await ended;
  assert.ok(performance.now() - start < 5000);
  assert.equal(messages, []);
  assert.is(state().state, 'connecting');
});

daemons.run();
