import fs from 'node:fs';
import { auditRecords } from '../../wire/support/audit-records.ts';
import { configure, forgetState } from '../../wire/support/agent.ts';
import { clearJournal } from '../../wire/support/journal.ts';
import { enterNamespaces } from '../../wire/support/namespaces.ts';
import { endAll, start } from '../../wire/support/program.ts';
import { sleep } from '../../wire/support/until.ts';
import { makeJournal } from './journal.ts';
import { calmSeconds, idleSeconds } from './latency.ts';
import { receivers } from './receivers.ts';
import { type Run, forward } from './run.ts';
import { type Sender, stateDirectory } from './senders.ts';
import { usage } from './usage.ts';

/** The parameters of the measurement. */
export interface FilePlan {
  agent: string;
  /** The number of lines, and of journal entries. */
  lines: number;
  entries: number;
  /** The number of log files that are watched while nothing is written. */
  idleFiles: number;
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

await enterNamespaces(import.meta.filename, { limitSeconds: 1200 });
const plan = JSON.parse(process.env['BENCH_PLAN'] ?? '') as FilePlan;
process.stdout.write(JSON.stringify(await measure(plan)));
process.exit(0);

async function measure({ agent, lines, entries, idleFiles }: FilePlan): Promise<MeasuredFiles> {
  const idle = { none: await idleTime(agent, 0), files: await idleTime(agent, idleFiles) };
  process.stderr.write(`${JSON.stringify({ idle })}\n`);
  writeLog(lines);
  const measured: Record<string, Run> = {};
  for (const [name, sender] of Object.entries(senders(agent)))
    measured[name] = await shown(name, forward(sender, lines));
  await makeJournal(entries);
  const of = (files: string) => agentSender(agent, 'RELP', 'relp://127.0.0.1:2514', files);
  const journal = await shown('journal alone', forward(of(''), entries));
  writeLog(entries);
  const journalAndFile = await shown('journal and file', forward(of(log), entries));
  clearJournal();
  return { lines: measured, journal, journalAndFile, idle };
}

async function shown(name: string, running: Promise<Run>): Promise<Run> {
  const run = await running;
  process.stderr.write(`${name}: ${JSON.stringify(run)}\n`);
  return run;
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

function senders(agent: string): Record<string, Sender> {
  const ours = (receiver: 'RELP' | 'TCP', target: string) => agentSender(agent, receiver, target, log);
  return {
    'agent, RELP': ours('RELP', 'relp://127.0.0.1:2514'),
    'imfile, RELP': imfile(''),
    'imfile, RELP, window 1000': imfile('windowSize="1000"'),
    'agent, TCP': ours('TCP', 'syslog+tcp://127.0.0.1:601'),
  };
}

function agentSender(agent: string, receiver: 'RELP' | 'TCP', target: string, files: string): Sender {
  return {
    receiver,
    start: () => {
      configure({ FORWARD: target, FORWARD_FILES: files });
      return start(agent, ['forward']);
    },
  };
}

function imfile(window: string): Sender {
  return {
    receiver: 'RELP',
    start: () => {
      const file = `${stateDirectory}/rsyslog.conf`;
      fs.writeFileSync(
        file,
        `global(workDirectory="${stateDirectory}")
module(load="imfile")
input(type="imfile" file="${log}" tag="audit")
module(load="omrelp")
action(type="omrelp" target="127.0.0.1" port="2514" template="RSYSLOG_SyslogProtocol23Format" ${window})
`,
      );
      fs.rmSync(`${stateDirectory}/rsyslog.pid`, { force: true });
      return start('rsyslogd', ['-n', '-i', `${stateDirectory}/rsyslog.pid`, '-f', file]);
    },
  };
}

/** Measures the CPU time while nothing is logged, with this number of log files. */
async function idleTime(agent: string, count: number): Promise<number> {
  forgetState();
  const directory = '/var/log/idle';
  fs.mkdirSync(directory, { recursive: true });
  for (let n = 0; n < count; n += 1) fs.writeFileSync(`${directory}/${n}.log`, 'a line\n');
  await receivers.RELP.start();
  configure({ FORWARD: 'relp://127.0.0.1:2514', FORWARD_FILES: count === 0 ? '' : `${directory}/*.log` });
  const { pid } = start(agent, ['forward']);
  await sleep(calmSeconds * 1000);
  const before = usage(pid).seconds;
  await sleep(idleSeconds * 1000);
  const seconds = usage(pid).seconds - before;
  await endAll();
  return Math.round(1000 * seconds);
}
