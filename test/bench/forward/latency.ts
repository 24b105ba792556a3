import net from 'node:net';
import { configure, forgetState } from '../../wire/support/agent.ts';
import { LiveJournal, clearJournal, exportEntry } from '../../wire/support/journal.ts';
import { startJournald } from '../../wire/support/journald.ts';
import { endAll, start } from '../../wire/support/program.ts';
import { sleep, until } from '../../wire/support/until.ts';
import { receivers } from './receivers.ts';
import { usage } from './usage.ts';

/** The 99th percentiles of milliseconds from logging to what is named. */
export interface Latency {
  /** The acknowledgement, as it comes to the agent. */
  acknowledged: number;
  /** A journalctl beside it that follows: earlier than that, nobody has an entry. */
  journalctl: number;
  /** Milliseconds of processor time of the agent while nothing is logged, in `idleSeconds`. */
  idle: number;
}

/**
 * Who writes the journal: journald, which tells readers of new entries every 250 ms only (systemd, journald-server.h,
 * POST_CHANGE_TIMER_INTERVAL_USEC), or somebody who tells them of each.
 */
export type Writer = 'journald' | 'remote';

const count = 1000;
const pauseMilliseconds = 10;
export const idleSeconds = 20;
const port = 2500;
const mark = 'timed entry';

/** 100 entries a second over RELP. */
export async function latency(agent: string, writer: Writer): Promise<Latency> {
  clearJournal();
  forgetState();
  receivers.RELP.clear();
  await receivers.RELP.start();
  const log = await writers[writer]();
  const answers = await proxy(2514);
  configure({ FORWARD: `relp://127.0.0.1:${port}` });
  const { pid } = start(agent, ['forward']);
  log('the first one');
  await until('the first is acknowledged', () => answers.times.length > 0);
  const seen = follow();
  await sleep(2000);
  const before = answers.times.length;
  const logged: number[] = [];
  for (let n = 0; n < count; n += 1) {
    logged.push(performance.now());
    log(`${mark} ${n}`);
    await sleep(Math.max(0, (logged[0] ?? 0) + (n + 1) * pauseMilliseconds - performance.now()));
  }
  const acknowledged = () => answers.times.slice(before, before + count);
  await until('all are acknowledged', () => acknowledged().length === count && seen.length === count);
  const late = (times: number[]) => percentile(times.map((time, n) => time - (logged[n] ?? 0)));
  const delays = { acknowledged: late(acknowledged()), journalctl: late(seen) };
  const idle = await whileIdle(pid);
  answers.close();
  await endAll();
  clearJournal();
  return { ...delays, idle };
}

const writers: Record<Writer, () => Promise<(message: string) => void>> = {
  journald: async () => {
    await startJournald();
    const logger = start('systemd-cat', ['-t', 'wire', 'cat'], 'pipe');
    return (message) => void logger.process.stdin?.write(`${message}\n`);
  },
  remote: () => {
    const journal = new LiveJournal();
    return Promise.resolve((message) => journal.append(exportEntry({ MESSAGE: message })));
  },
};

/** Once it has looked whether there is really no more. */
async function whileIdle(pid: number): Promise<number> {
  await sleep(6000);
  const before = usage(pid).seconds;
  await sleep(idleSeconds * 1000);
  // The kernel counts in tens of them; the difference of two fractions is no such number.
  return Math.round(1000 * (usage(pid).seconds - before));
}

/** Between the agent and the server; knows when each message was acknowledged. */
async function proxy(server: number): Promise<{ times: number[]; close: () => void }> {
  const times: number[] = [];
  const listener = net.createServer({ noDelay: true }, (client) => {
    const upstream = net.connect({ host: '127.0.0.1', port: server, noDelay: true });
    client.pipe(upstream).pipe(client);
    let held = '';
    upstream.on('data', (chunk) => {
      const parts = (held + chunk.toString('latin1')).split(' rsp 6 200 OK\n');
      held = parts.pop() ?? '';
      times.push(...parts.map(() => performance.now()));
    });
    for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => listener.listen(port, '127.0.0.1', resolve));
  return { times, close: () => listener.close() };
}

/** @returns when a journalctl has shown each entry */
function follow(): number[] {
  const seen: number[] = [];
  const child = start('journalctl', ['-q', '--no-pager', '-o', 'cat', '-f', '-n', '0']);
  child.process.stdout?.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString('latin1').split('\n'))
      if (line.startsWith(mark)) seen.push(performance.now());
  });
  return seen;
}

function percentile(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? Infinity;
}
