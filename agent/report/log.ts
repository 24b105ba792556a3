import type { Finding } from '../checks/check.ts';
import type { LastReport } from '../facts/last-report.ts';
import { type Fields, type Log, priority } from '../system/log.ts';
import { checkMessageId, driftMessage, verdictMessage } from './log-messages.ts';
import type { Report } from './report.ts';

const levels = {
  pass: priority.info,
  skip: priority.info,
  warn: priority.warning,
  fail: priority.error,
  error: priority.error,
};

/** Logs one entry for each finding and one entry for the verdict. */
export function logReport(report: Report, log: Log): void {
  for (const finding of report.checks) {
    log(levels[finding.status], `${finding.id}: ${finding.status}: ${describe(finding)}`, {
      MESSAGE_ID: checkMessageId(finding.id),
      ...fields(finding),
    });
  }
  logVerdict(report, log, '');
}

/** The differences from the previous report. */
export interface Drift {
  /** The findings whose status changed. `before` is undefined if the previous report does not contain the check. */
  findings: { finding: Finding; before: string | undefined }[];
  /** The previous verdict; undefined if the verdict has not changed. */
  verdict: string | undefined;
}

/**
 * Finds the changes of status. Ignores other changes, because observed values such as bytes in use change constantly.
 */
export function findDrift(before: LastReport, now: Report): Drift {
  const findings = now.checks
    .map((finding) => ({ finding, before: before.checks.get(finding.id) }))
    .filter((each) => each.before !== each.finding.status);
  return { findings, verdict: before.verdict === now.verdict ? undefined : before.verdict };
}

/** Logs one entry for each check whose status changed, and one entry for the verdict if the verdict changed. */
export function logDrift({ findings, verdict }: Drift, report: Report, log: Log): void {
  for (const { finding, before = 'none' } of findings) {
    const { id, status } = finding;
    const level = Math.min(levels[status], priority.notice);
    log(level, `${id} changed from ${before} to ${status}: ${describe(finding)}`, {
      MESSAGE_ID: driftMessage.messageId,
      ...fields(finding),
      IMMUTAFS_OLD_STATUS: before,
    });
  }
  if (verdict !== undefined) logVerdict(report, log, verdict);
}

function logVerdict(report: Report, log: Log, before: string): void {
  const bad = report.verdict === 'failed' || report.verdict === 'unknown';
  const change = before === '' ? '' : `, was ${before}`;
  log(bad ? priority.error : priority.notice, `Verdict: ${report.verdict}${change} (${report.reason})`, {
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

function describe({ subject, observed, remedy }: Finding): string {
  const observation = subject === '' ? observed : `${subject}: ${observed}`;
  return remedy === '' ? observation : `${observation}. To fix: ${remedy}`;
}
