import { clearJournal } from '../../wire/support/journal.ts';
import { enterNamespaces } from '../../wire/support/namespaces.ts';
import { makeJournal } from './journal.ts';
import { type Latency, type Writer, latency } from './latency.ts';
import { type Run, forward } from './run.ts';
import { type Programs, type Sender, sendersOf } from './senders.ts';

/** The parameters of the measurement. */
export interface Plan {
  programs: Programs;
  /** The numbers of entries: in the run of each sender, and in the second run, with only the agent and journal-upload. */
  entries: number;
  many: number;
}

/** The results of the runs, by sender. */
export interface Measured {
  whole: Record<string, Run>;
  killed: Record<string, Run>;
  many: Record<string, Run>;
  latency: Record<Writer, Latency>;
}

await enterNamespaces(import.meta.filename, { limitSeconds: 3000 });
const plan = JSON.parse(process.env['BENCH_PLAN'] ?? '') as Plan;
process.stdout.write(JSON.stringify(await measure(plan)));
process.exit(0);

async function measure({ programs, entries, many }: Plan): Promise<Measured> {
  const senders = sendersOf(programs);
  const measured: Measured = { whole: {}, killed: {}, many: {}, latency: await latencies(programs.agent) };
  await makeJournal(entries);
  for (const [name, sender] of Object.entries(senders)) {
    measured.whole[name] = await measureOne(name, sender, entries, false);
    measured.killed[name] = await measureOne(`${name}, killed`, sender, entries, true);
  }
  clearJournal();
  await makeJournal(many);
  for (const [name, sender] of Object.entries(senders)) {
    if (!isMeasuredWithMany(name)) continue;
    measured.many[name] = await measureOne(`${name}, ${many} entries`, sender, many, false);
  }
  return measured;
}

/** Whether a sender also forwards many entries. The other competitors would take too long. */
function isMeasuredWithMany(name: string): boolean {
  return name.startsWith('agent, ') || name === 'journal-upload';
}

async function measureOne(name: string, sender: Sender, count: number, killed: boolean): Promise<Run> {
  const run = await forward(sender, count, killed);
  // Show the progress, because all runs together take a quarter of an hour.
  process.stderr.write(`${name}: ${JSON.stringify(run)}\n`);
  return run;
}

async function latencies(agent: string): Promise<Measured['latency']> {
  const [journald, remote] = [await latency(agent, 'journald'), await latency(agent, 'remote')];
  process.stderr.write(`${JSON.stringify({ journald, remote })}\n`);
  return { journald, remote };
}
