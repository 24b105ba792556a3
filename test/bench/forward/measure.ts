/** Runs the measurements of the environment variable BENCH_PLAN in namespaces, and prints the results as JSON. */
import fs from 'node:fs';
import { configure, forgetState } from '../../wire/support/agent.ts';
import { auditRecords } from '../../wire/support/audit-records.ts';
import { LiveJournal, clearJournal, exportEntry } from '../../wire/support/journal.ts';
import { enterNamespaces } from '../../wire/support/namespaces.ts';
import { endAll, start } from '../../wire/support/program.ts';
import { type Latency, type Writer, latency, whileIdle } from './latency.ts';
import { receivers } from './receivers.ts';
import { type Run, forward } from './run.ts';
import { type Sender, agentSender, journalSenders, lineSenders } from './senders.ts';

export type Plan = JournalPlan | FilePlan;

interface JournalPlan {
  of: 'journal';
  agent: string;
  syslogNg: string;
  /** The numbers of entries: in the run of each sender, and in the second run, with only the agent and journal-upload. */
  entries: number;
  many: number;
}

interface FilePlan {
  of: 'files';
  agent: string;
  /** The number of lines, and of journal entries. */
  lines: number;
  entries: number;
  /** The number of log files that are watched while nothing is written. */
  idleFiles: number;
}

export interface Measured {
  whole: Record<string, Run>;
  killed: Record<string, Run>;
  many: Record<string, Run>;
  latency: Record<Writer, Latency>;
}

export interface MeasuredFiles {
  /** The results for one log file without a journal, by sender. */
  lines: Record<string, Run>;
  journal: Run;
  journalAndFile: Run;
  /** The CPU time of the agent during `idleSeconds`, in milliseconds, with and without the files. */
  idle: { files: number; none: number };
}

const log = '/var/log/bench/audit.log';

await enterNamespaces(import.meta.filename, { limitSeconds: 3000 });
const plan = JSON.parse(process.env['BENCH_PLAN'] ?? '') as Plan;
process.stdout.write(
  JSON.stringify(plan.of === 'journal' ? await measureJournal(plan) : await measureFiles(plan)),
);
process.exit(0);

async function measureJournal({ agent, syslogNg, entries, many }: JournalPlan): Promise<Measured> {
  const senders = Object.entries(journalSenders(agent, syslogNg));
  const latencies = {
    journald: await shown('latency, journald', latency(agent, 'journald')),
    remote: await shown('latency, remote', latency(agent, 'remote')),
  };
  const measured: Measured = { whole: {}, killed: {}, many: {}, latency: latencies };
  await makeJournal(entries);
  for (const [name, sender] of senders) {
    measured.whole[name] = await shown(name, forward(sender, entries));
    measured.killed[name] = await shown(`${name}, killed`, forward(sender, entries, true));
  }
  clearJournal();
  await makeJournal(many);
  // The other competitors would take too long.
  for (const [name, sender] of senders.filter(([each]) => /^agent, |^journal-upload/.test(each)))
    measured.many[name] = await shown(`${name}, ${many} entries`, forward(sender, many));
  return measured;
}

async function measureFiles({ agent, lines, entries, idleFiles }: FilePlan): Promise<MeasuredFiles> {
  const idle = { none: await idleTime(agent, 0), files: await idleTime(agent, idleFiles) };
  writeLog(lines);
  const measured: Record<string, Run> = {};
  for (const [name, sender] of Object.entries(lineSenders(agent, log)))
    measured[name] = await shown(name, forward(sender, lines));
  await makeJournal(entries);
  const of = (files: string): Sender => agentSender(agent, 'RELP', 'relp://127.0.0.1:2514', files);
  const journal = await shown('journal alone', forward(of(''), entries));
  writeLog(entries);
  const journalAndFile = await shown('journal and file', forward(of(log), entries));
  clearJournal();
  return { lines: measured, journal, journalAndFile, idle };
}

/** Shows the progress, because all runs together take a quarter of an hour. */
async function shown<T>(name: string, running: Promise<T>): Promise<T> {
  const result = await running;
  process.stderr.write(`${name}: ${JSON.stringify(result)}\n`);
  return result;
}

/** Measures the CPU time while nothing is logged, with this number of log files. */
async function idleTime(agent: string, count: number): Promise<number> {
  forgetState();
  const directory = '/var/log/idle';
  fs.mkdirSync(directory, { recursive: true });
  for (let n = 0; n < count; n += 1) fs.writeFileSync(`${directory}/${n}.log`, 'a line\n');
  await receivers.RELP.start();
  configure({ FORWARD: 'relp://127.0.0.1:2514', FORWARD_FILES: count === 0 ? '' : `${directory}/*.log` });
  const milliseconds = await shown(`${count} files, idle`, whileIdle(start(agent, ['forward']).pid));
  await endAll();
  return milliseconds;
}

/** Writes records of the audit trail. Each line ends with its number, by which the receiver counts. */
function writeLog(count: number): void {
  fs.mkdirSync('/var/log/bench', { recursive: true });
  const records = auditRecords(20_000).filter((record) => record.length < 1000);
  const file = fs.openSync(log, 'w');
  for (let from = 0; from < count; from += records.length) {
    const some = records.slice(0, Math.min(records.length, count - from));
    fs.writeSync(file, Buffer.from(some.map((text, n) => `${text} ${from + n}\n`).join(''), 'latin1'));
  }
  fs.closeSync(file);
}

const chunk = 20_000;

/** Creates a journal with entries like those of a service, 800 bytes each. Each message ends with its number. */
async function makeJournal(count: number): Promise<void> {
  const journal = new LiveJournal();
  for (let from = 0; from < count; from += chunk) {
    const length = Math.min(chunk, count - from);
    journal.append(Buffer.concat(Array.from({ length }, (_, n) => exportEntry(fields(from + n)))));
    await journal.taken();
  }
  await journal.close();
}

function fields(number: number): Record<string, string> {
  const pid = String(1000 + (number % 40));
  const unit = `worker@${number % 8}.service`;
  return {
    MESSAGE: `Accepted request from 192.0.2.${number % 250} port ${20_000 + (number % 9973)}, entry ${number}`,
    ...{ PRIORITY: String(number % 50 === 0 ? 4 : 6), SYSLOG_FACILITY: '3', SYSLOG_IDENTIFIER: 'workerd' },
    ...{ SYSLOG_PID: pid, _PID: pid, _UID: '998', _GID: '998', _COMM: 'workerd', _CAP_EFFECTIVE: '0' },
    ...{ _EXE: '/usr/libexec/workerd', _CMDLINE: `/usr/libexec/workerd --instance ${number % 8}` },
    _SELINUX_CONTEXT: 'system_u:system_r:unconfined_service_t:s0',
    ...{ _SYSTEMD_CGROUP: `/system.slice/${unit}`, _SYSTEMD_UNIT: unit, _SYSTEMD_SLICE: 'system.slice' },
    _TRANSPORT: 'syslog',
  };
}
