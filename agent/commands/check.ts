import path from 'node:path';
import { errorMessage } from '../errors.ts';
import type { Host } from '../host.ts';
import { type Log, keepingLog, openJournal, priority } from '../journal.ts';
import type { Facts } from '../observe/facts.ts';
import { type LastReport, reportFile } from '../observe/last-report.ts';
import { findDrift } from '../report/drift.ts';
import { logDrift, logReport } from '../report/log.ts';
import { loginMessage } from '../report/maintenance.ts';
import { formatPrometheus } from '../report/prometheus.ts';
import { type Report, exitCode } from '../report/report.ts';
import { evaluateFacts } from './evaluate.ts';
import type { Output, ReportOptions } from './output.ts';
import { printReport } from './status.ts';

/** What packaging/profile.sh shows at a login; empty where there is nothing to say. */
const loginFile = '/run/immutafs/login';

export interface CheckOptions extends ReportOptions {
  boot?: boolean;
  readyToSeal?: boolean;
}

/**
 * `check`: looks, logs what changed since the last look of this boot, and leaves the report for others. At boot,
 * or where there is no report to compare with, logs each finding.
 */
export async function checkCommand(host: Host, output: Output, options: CheckOptions): Promise<number> {
  return checkWith(host, output, options, openJournal);
}

/** @param open opens what takes the place of the journal */
export async function checkWith(
  host: Host,
  output: Output,
  options: CheckOptions,
  open: () => Promise<Log>,
): Promise<number> {
  const { log, send } = keepingLog(open);
  const { facts, report } = await evaluateFacts(host);
  logChanges(report, options.boot === true ? undefined : lastReport(facts, log), log);
  // Before the report: what the next one is compared with is what has been said.
  await send();
  host.makeFolder(path.dirname(reportFile));
  host.writeAtomically(reportFile, `${JSON.stringify(report, null, 2)}\n`, 0o644);
  host.writeAtomically(loginFile, loginMessage(report), 0o644);
  dropMetrics(host, facts.config.PROMETHEUS_FILE, report, log);
  await send();
  printReport(report, output, options);
  return exitCode(report);
}

function logChanges(report: Report, before: LastReport | undefined, log: Log): void {
  if (before === undefined) logReport(report, log);
  else logDrift(findDrift(before, report), report, log);
}

function lastReport({ lastReport: last }: Facts, log: Log): LastReport | undefined {
  if ('value' in last) return last.value;
  log(priority.warning, `The last report cannot be read, ignoring it: ${last.error}`, {});
  return undefined;
}

/** What monitoring does not get must not keep the rest from being done. */
function dropMetrics(host: Host, file: string, report: Report, log: Log): void {
  if (file === '') return;
  try {
    host.writeAtomically(file, formatPrometheus(report), 0o644);
  } catch (error) {
    log(priority.warning, `PROMETHEUS_FILE cannot be written, ignoring it: ${errorMessage(error)}`, {});
  }
}
