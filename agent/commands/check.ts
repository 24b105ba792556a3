import path from 'node:path';
import { errorMessage } from '../lib/errors.ts';
import type { SystemReader } from '../system/reader.ts';
import type { SystemWriter } from '../system/writer.ts';
import { type Log, keepingLog, openJournal, priority } from '../system/log.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import {
  type LastReport,
  reportFile,
  bootStateFile,
  bootTime,
  formatBootState,
  formatUsageHistory,
  usageHistoryFile,
  withSample,
} from '../facts/records.ts';
import { observeAsync } from '../facts/observed.ts';
import { recordHomes } from '../changes/homes.ts';
import { loginMessage } from '../report/headline.ts';
import { findDrift, logDrift, logNewPrograms, logReport } from '../report/log.ts';
import { formatPrometheus } from '../report/prometheus.ts';
import { type Report, exitCode } from '../report/report.ts';
import { toJson } from '../lib/unprintable.ts';
import { evaluateWithFacts } from '../evaluate.ts';
import type { ReportOptions } from './report-options.ts';
import type { Output } from './output.ts';
import { printReport } from './status.ts';

/** The options of `check`. */
export interface CheckOptions extends ReportOptions {
  boot?: boolean;
  readyToSeal?: boolean;
  image?: boolean;
}

const agentDirectory = path.dirname(reportFile);
/** packaging/profile.sh prints this file at each login; the file is empty if there is nothing to report. */
const loginFile = `${agentDirectory}/login`;

/**
 * `check`: evaluates the guest, logs the changes since the previous check of this boot, and writes the report. With
 * --boot, or if there is no previous report, logs every finding.
 * @param open opens the log
 */
export async function checkCommand(
  reader: SystemReader,
  writer: SystemWriter,
  output: Output,
  options: CheckOptions,
  open: () => Promise<Log> = openJournal,
): Promise<number> {
  const { log, send } = keepingLog(open);
  const { facts, report } = await evaluateWithFacts(reader);
  logChanges(report, options.boot === true ? undefined : lastReport(facts, log), log);
  // Log the findings before the report is written, because the next check logs only differences from this report.
  await send();
  const write = fileWriter(writer, log);
  const usage = usageText(facts, log);
  write('The report', reportFile, `${toJson(report, 2)}\n`);
  write('The login message', loginFile, loginMessage(report));
  const { PROMETHEUS_FILE } = facts.config;
  if (PROMETHEUS_FILE !== '') write('PROMETHEUS_FILE', PROMETHEUS_FILE, formatPrometheus(report));
  if (usage !== undefined) write('The usage history', usageHistoryFile, usage);
  await writeBootState(reader, write, facts, log);
  await send();
  printReport(report, output, { ...options, all: true });
  return exitCode(report);
}

function logChanges(report: Report, before: LastReport | undefined, log: Log): void {
  if (before === undefined) logReport(report, log);
  else logDrift(findDrift(before, report), report, log);
  logNewPrograms(report, before, log);
}

function lastReport({ lastReport: last }: AssessedFacts, log: Log): LastReport | undefined {
  if ('value' in last) return last.value;
  log(priority.warning, `The previous report cannot be read and is ignored: ${last.error}`, {});
  return undefined;
}

/**
 * Returns the samples of the use of /var, including the present one; undefined if /var is not an overlay. Unreadable
 * samples are replaced.
 */
function usageText({ varUsage, usageHistory, identity }: AssessedFacts, log: Log): string | undefined {
  const usage = 'value' in varUsage ? varUsage.value : undefined;
  if (usage === undefined) return undefined;
  const samples = 'value' in usageHistory ? usageHistory.value : [];
  if (!('value' in usageHistory))
    log(priority.warning, `The usage history cannot be read and begins anew: ${usageHistory.error}`, {});
  const { usedBytes, inodesUsed } = usage;
  const now = { uptime: identity.uptime, usedBytes, inodesUsed };
  return formatUsageHistory(identity.bootId, withSample(samples, now));
}

/**
 * Records the state with which later commands compare, at the first check of a boot. A later check does not replace it,
 * because it would then contain what changed since.
 */
async function writeBootState(
  reader: SystemReader,
  write: WriteFile,
  { bootState, identity: { bootId }, mounts }: AssessedFacts,
  log: Log,
): Promise<void> {
  if (!('value' in bootState) || bootState.value !== undefined || bootId === '') return;
  const recorded = await observeAsync(() => recordHomes(reader, mounts));
  if ('error' in recorded)
    log(priority.warning, `The home directories cannot be recorded: ${recorded.error}`, {});
  const state = { bootId, booted: bootTime(reader), homes: 'value' in recorded ? recorded.value : '' };
  write('The state at boot', bootStateFile, formatBootState(state), 0o600);
}

/** @param label the name of the file in a warning */
type WriteFile = (label: string, file: string, text: string, mode?: number) => void;

/**
 * Returns a function that writes a file. If that fails, for example because the disk is full, it logs a warning; the exit
 * code does not change.
 */
function fileWriter(writer: SystemWriter, log: Log): WriteFile {
  return (label, file, text, mode = 0o644) => {
    try {
      if (path.dirname(file) === agentDirectory) writer.makeDirectory(agentDirectory, 0o755);
      writer.writeAtomically(file, text, mode);
    } catch (error) {
      log(priority.warning, `${label} cannot be written: ${errorMessage(error)}`, {});
    }
  };
}
