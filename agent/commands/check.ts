import path from 'node:path';
import { errorMessage } from '../lib/errors.ts';
import type { SystemReader } from '../system/reader.ts';
import { type Log, keepingLog, openJournal, priority } from '../system/log.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { type LastReport, reportFile } from '../facts/last-report.ts';
import { findDrift } from '../report/drift.ts';
import { logDrift, logReport } from '../report/log.ts';
import { loginMessage } from '../report/maintenance.ts';
import { formatPrometheus } from '../report/prometheus.ts';
import { type Report, exitCode } from '../report/report.ts';
import { toJson } from '../lib/unprintable.ts';
import { evaluateWithFacts } from '../evaluate.ts';
import type { Output, ReportOptions } from './output.ts';
import { printReport } from './status.ts';

const agentFolder = path.dirname(reportFile);
/** What packaging/profile.sh shows at a login; empty where there is nothing to say. */
const loginFile = `${agentFolder}/login`;

export interface CheckOptions extends ReportOptions {
  boot?: boolean;
  readyToSeal?: boolean;
}

/**
 * `check`: looks, logs what changed since the last look of this boot, and leaves the report for others. At boot,
 * or where there is no report to compare with, logs each finding.
 */
export async function checkCommand(
  reader: SystemReader,
  output: Output,
  options: CheckOptions,
): Promise<number> {
  return checkWith(reader, output, options, openJournal);
}

/** @param open opens what takes the place of the journal */
export async function checkWith(
  reader: SystemReader,
  output: Output,
  options: CheckOptions,
  open: () => Promise<Log>,
): Promise<number> {
  const { log, send } = keepingLog(open);
  const { facts, report } = await evaluateWithFacts(reader);
  logChanges(report, options.boot === true ? undefined : lastReport(facts, log), log);
  // Before the report: what the next one is compared with is what has been said.
  await send();
  for (const { what, file, text } of leftFiles(facts, report)) leaveFile(reader, what, file, text, log);
  await send();
  printReport(report, output, options);
  return exitCode(report);
}

function logChanges(report: Report, before: LastReport | undefined, log: Log): void {
  if (before === undefined) logReport(report, log);
  else logDrift(findDrift(before, report), report, log);
}

function lastReport({ lastReport: last }: AssessedFacts, log: Log): LastReport | undefined {
  if ('value' in last) return last.value;
  log(priority.warning, `The last report cannot be read, ignoring it: ${last.error}`, {});
  return undefined;
}

interface LeftFile {
  /** For the warning. */
  what: string;
  file: string;
  text: string;
}

function leftFiles({ config: { PROMETHEUS_FILE } }: AssessedFacts, report: Report): LeftFile[] {
  const metrics = { what: 'PROMETHEUS_FILE', file: PROMETHEUS_FILE, text: formatPrometheus(report) };
  return [
    { what: 'The report', file: reportFile, text: `${toJson(report, 2)}\n` },
    { what: 'The message for logins', file: loginFile, text: loginMessage(report) },
    ...(PROMETHEUS_FILE === '' ? [] : [metrics]),
  ];
}

/** A file that cannot be written (a full disk) changes neither the verdict nor the exit code. */
function leaveFile(reader: SystemReader, what: string, file: string, text: string, log: Log): void {
  try {
    if (path.dirname(file) === agentFolder) reader.makeFolder(agentFolder);
    reader.writeAtomically(file, text, 0o644);
  } catch (error) {
    log(priority.warning, `${what} cannot be written, ignoring it: ${errorMessage(error)}`, {});
  }
}
