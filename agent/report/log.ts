import type { Finding } from '../checks/check.ts';
import { type Fields, type Log, priority } from '../system/log.ts';
import { checkMessageId, driftMessage, verdictMessage } from './messages.ts';
import type { Drift } from './drift.ts';
import type { Report } from './report.ts';

const levels = {
  pass: priority.info,
  skip: priority.info,
  warn: priority.warning,
  fail: priority.error,
  error: priority.error,
};

/** One journal entry a finding, and one for the verdict. */
export function logReport(report: Report, log: Log): void {
  for (const finding of report.checks) {
    log(levels[finding.status], `${finding.id}: ${finding.status}: ${said(finding)}`, {
      MESSAGE_ID: checkMessageId(finding.id),
      ...fields(finding),
    });
  }
  logVerdict(report, log, '');
}

/** One journal entry for each check whose status changed, and one for the verdict if it did; else nothing. */
export function logDrift({ findings, verdict }: Drift, report: Report, log: Log): void {
  for (const { finding, before = 'none' } of findings) {
    const { id, status } = finding;
    const level = Math.min(levels[status], priority.notice);
    log(level, `${id} was ${before} and is ${status}: ${said(finding)}`, {
      MESSAGE_ID: driftMessage.messageId,
      ...fields(finding),
      IMMUTAFS_OLD_STATUS: before,
    });
  }
  if (verdict !== undefined) logVerdict(report, log, verdict);
}

function logVerdict(report: Report, log: Log, before: string): void {
  const bad = report.verdict === 'failed' || report.verdict === 'unknown';
  const was = before === '' ? '' : `, was ${before}`;
  log(bad ? priority.error : priority.notice, `Verdict: ${report.verdict}${was} (${report.reason})`, {
    MESSAGE_ID: verdictMessage.messageId,
    IMMUTAFS_VERDICT: report.verdict,
    ...(before === '' ? {} : { IMMUTAFS_OLD_VERDICT: before }),
    IMMUTAFS_MODE: report.mode,
    IMMUTAFS_ENFORCEMENT: report.enforcement,
  });
}

function fields(finding: Finding): Fields {
  return {
    IMMUTAFS_CHECK: finding.id,
    IMMUTAFS_STATUS: finding.status,
    IMMUTAFS_SEVERITY: finding.severity,
    IMMUTAFS_SUBJECT: finding.subject,
    IMMUTAFS_EXPECTED: finding.expected,
    IMMUTAFS_OBSERVED: finding.observed,
    IMMUTAFS_REMEDY: finding.remedy,
  };
}

function said({ subject, observed, remedy }: Finding): string {
  const seen = subject === '' ? observed : `${subject}: ${observed}`;
  return `${seen}${remedy === '' ? '' : ` To do: ${remedy}`}`;
}
