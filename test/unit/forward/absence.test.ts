import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseConfig } from '../../../agent/config/config.ts';
import { Backoff } from '../../../agent/forward/pipeline/backoff.ts';
import { Daemon } from '../../../agent/forward/pipeline/daemon.ts';
import { Progress } from '../../../agent/forward/pipeline/checkpoint.ts';
import { StatusWriter } from '../../../agent/forward/status/status-writer.ts';
import { parseTargets } from '../../../agent/forward/transport/target.ts';
import { Voice } from '../../../agent/forward/status/rate-limited-log.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { type ForwardState, forwardStateFile } from '../../../agent/facts/forwarder.ts';

const absence = suite('a server that is away for long');
const minute = 60_000;

absence('pauses grow from a second to half a minute, never longer, and begin anew', () => {
  const backoff = new Backoff();
  const pauses = Array.from({ length: 8 }, () => backoff.next(1));
  assert.equal(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  for (let n = 0; n < 10_000; n += 1) backoff.next(1);
  assert.is(backoff.next(1), 30_000);
  assert.is(backoff.next(0), 22_500);
  backoff.reset();
  assert.is(backoff.next(1), 1000);
});

class CountingVoice extends Voice {
  attempts = 0;
  override waiting(target: string, reason: string): void {
    this.attempts += 1;
    super.waiting(target, reason);
  }
}

/** A forwarder on a port where nobody listens, and what it said; its folder is `root`. */
function forwarderTo(port: number, root: string) {
  // Its times go on as they do: else it would see the clock of the day jump, each second of the hour.
  const now = () => new Date(performance.timeOrigin + performance.now());
  const host = { ...systemReader({ root }), now };
  const said: string[] = [];
  const voice = new CountingVoice((_, text) => void said.push(text));
  const progress = new Progress('', () => undefined);
  const daemon = new Daemon({
    targets: parseTargets(`syslog+tcp://127.0.0.1:${port}`),
    config: parseConfig('').config,
    clock: { realtime: () => 0, monotonic: () => 0, bootId: 'b'.repeat(32) },
    hostname: 'guest1',
    progress,
    status: new StatusWriter(host, progress, () => undefined),
    voice,
  });
  const state = () => JSON.parse(fs.readFileSync(path.join(root, forwardStateFile), 'utf8')) as ForwardState;
  return { daemon, run: daemon.run.bind(daemon), said, state, attempts: () => voice.attempts };
}

/** Lets time pass, by a clock that does not wait, beside connections that are real. */
async function pass(milliseconds: number, until: () => boolean = () => false): Promise<void> {
  for (let passed = 0; passed < milliseconds && !until(); passed += 500) {
    mock.timers.tick(500);
    for (let n = 0; n < 5; n += 1) await turn();
  }
}

absence(
  'for an hour: tried twice a minute at least, one line; it comes back: found in half a minute',
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
      const { daemon, run, said, state, attempts } = forwarderTo(port, root);
      const ended = run();
      await pass(minute, () => attempts() > 0);
      await pass(60 * minute);
      assert.ok(attempts() >= 110 && attempts() <= 170, `${attempts()} attempts`);
      assert.equal(said, [
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

absence.run();
