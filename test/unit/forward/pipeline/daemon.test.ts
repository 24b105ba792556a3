import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
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
import { parseTargets } from '../../../../agent/forward/transport/target.ts';
import { RateLimitedLog } from '../../../../agent/forward/status/rate-limited-log.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { systemWriter } from '../../../../agent/system/writer.ts';
import { type ForwardState, forwardStateFile } from '../../../../agent/facts/forwarder.ts';

const daemonSuite = suite('daemon');
const minute = 60_000;

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
    ...{ patterns, records: [], auditFile: '', trusted: true, booted: 0 },
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
      ...{ sources: () => files.state(), trouble: () => undefined },
    }),
    log,
  });
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

daemonSuite(
  'a server that is unreachable for an hour: tried at least twice a minute, one message, found within half a minute',
  async () => {
    const server = net.createServer((socket) => socket.on('error', () => undefined));
    const listen = (port: number) =>
      new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    await listen(0);
    const { port } = server.address() as net.AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'absence-'));
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
    try {
      const { daemon, run, messages, state, attempts } = daemonTo(port, root);
      const ended = run();
      await pass(minute, () => attempts() > 0);
      await pass(60 * minute);
      assert.ok(attempts() >= 110 && attempts() <= 170, `${attempts()} attempts`);
      assert.equal(messages, [
        `Cannot forward the journal to syslog+tcp://127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`,
      ]);
      assert.is(state().state, 'waiting');
      await listen(port);
      await pass(31_000, () => daemon.connected);
      assert.ok(daemon.connected);
      assert.is(state().state, 'connected');
      daemon.finish();
      server.close();
      await pass(minute, () => !daemon.connected);
      await ended;
    } finally {
      mock.timers.reset();
      fs.rmSync(root, { recursive: true });
    }
  },
);

daemonSuite('the first state with a connection lists every log file, read or not', async () => {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'files-'));
  const file = (name: string) => path.join(root, name);
  const files = ['one.log', 'other.log', 'directory.log'].map(file);
  for (const name of ['one.log', 'other.log']) fs.writeFileSync(file(name), 'a line\n');
  fs.mkdirSync(file('directory.log'));
  const { daemon, run, state } = daemonTo(port, root, 'syslog+tcp', files);
  const ended = run();
  try {
    while (!daemon.connected) await turn();
    const { state: now, sources } = state();
    assert.is(now, 'connected');
    assert.equal(
      sources.map((source) => source.path),
      files,
    );
    assert.equal(
      sources.map(({ error }) => error !== ''),
      [false, false, true],
    );
  } finally {
    daemon.abort();
    for (const socket of sockets) socket.destroy();
    server.close();
    await ended;
    fs.rmSync(root, { recursive: true });
  }
});

daemonSuite('abort ends a connection that is being established, without a message', async () => {
  const server = net.createServer((socket) => socket.on('error', () => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'daemon-'));
  try {
    // The server accepts the connection and never answers RELP's `open`.
    const { daemon, run, messages, state } = daemonTo(port, root, 'relp');
    const ended = run();
    await new Promise((resolve) => server.once('connection', resolve));
    const start = performance.now();
    daemon.abort();
    await ended;
    assert.ok(performance.now() - start < 5000);
    assert.equal(messages, []);
    assert.is(state().state, 'connecting');
  } finally {
    server.close();
    fs.rmSync(root, { recursive: true });
  }
});

daemonSuite.run();
