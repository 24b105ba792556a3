import net from 'node:net';
import { configure, forgetState } from '../../wire/support/agent.ts';
import { LiveJournal, clearJournal, exportEntry, startJournald } from '../../wire/support/journal.ts';
import { endAll, start } from '../../wire/support/program.ts';
import { sleep, until } from '../../wire/support/until.ts';
import { receivers } from './receivers.ts';
import { usage } from './run.ts';

/** 99th percentiles of the time from logging to an event, in milliseconds. */
export interface Latency {
  /** The time until the agent receives the acknowledgement. */
  acknowledged: number;
  /** The time until `journalctl -f` prints the entry. No reader receives the entry earlier. */
  journalctl: number;
  /** The CPU time of the agent during `idleSeconds` without entries, in milliseconds. */
  idle: number;
}

/**
 * The writer of the journal: journald, which notifies readers only every 250 ms (systemd, journald-server.h,
 * POST_CHANGE_TIMER_INTERVAL_USEC), or systemd-journal-remote, which notifies them of each entry.
 */
export type Writer = 'journald' | 'remote';

const count = 1000;
const pauseMilliseconds = 10;
export const idleSeconds = 20;
/** The time in which the agent checks for a stall and V8 releases memory (src/heap/memory-reducer.h); each happens once. */
const calmSeconds = 20;
const port = 2500;
const mark = 'timed entry';

/** Measures the latency of 100 entries per second over RELP. */
export async function latency(agent: string, writer: Writer): Promise<Latency> {
  clearJournal();
  forgetState();
  receivers.RELP.clear();
  await receivers.RELP.start();
  const log = await writers[writer]();
  const acknowledgements = await proxy(2514);
  configure({ FORWARD: `relp://127.0.0.1:${port}` });
  const { pid } = start(agent, ['forward']);
  log('the first entry');
  await until('the first acknowledgement', () => acknowledgements.times.length > 0);
  const seen = follow();
  await sleep(2000);
  const before = acknowledgements.times.length;
  const logged: number[] = [];
  for (let n = 0; n < count; n += 1) {
    logged.push(performance.now());
    log(`${mark} ${n}`);
    await sleep(Math.max(0, (logged[0] ?? 0) + (n + 1) * pauseMilliseconds - performance.now()));
  }
  const acknowledged = () => acknowledgements.times.slice(before, before + count);
  await until('all acknowledgements', () => acknowledged().length === count && seen.length === count);
  const late = (times: number[]) => percentile(times.map((time, n) => time - (logged[n] ?? 0)));
  const delays = { acknowledged: late(acknowledged()), journalctl: late(seen) };
  const idle = await whileIdle(pid);
  acknowledgements.close();
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

/** Measures the CPU time of a process that has just received its last entry, in milliseconds. */
export async function whileIdle(pid: number): Promise<number> {
  await sleep(calmSeconds * 1000);
  const before = usage(pid).seconds;
  await sleep(idleSeconds * 1000);
  // The kernel counts in steps of 10 ms, so rounding removes only the floating-point error of the subtraction.
  return Math.round(1000 * (usage(pid).seconds - before));
}

/** Starts a proxy between the agent and the server, which records when each message is acknowledged. */
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
