import type { Finding } from '../checks/check.ts';
import { type Log, priority } from '../journal.ts';
import { checkMessageId, verdictMessage } from '../messages.ts';
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
    log(levels[finding.status], findingMessage(finding), {
      MESSAGE_ID: checkMessageId(finding.id),
      IMMUTAFS_CHECK: finding.id,
      IMMUTAFS_STATUS: finding.status,
      IMMUTAFS_SEVERITY: finding.severity,
      IMMUTAFS_SUBJECT: finding.subject,
      IMMUTAFS_EXPECTED: finding.expected,
      IMMUTAFS_OBSERVED: finding.observed,
      IMMUTAFS_REMEDY: finding.remedy,
    });
  }
  const bad = report.verdict === 'failed' || report.verdict === 'unknown';
  log(bad ? priority.error : priority.notice, `Verdict: ${report.verdict} (${report.reason})`, {
    MESSAGE_ID: verdictMessage.messageId,
    IMMUTAFS_VERDICT: report.verdict,
    IMMUTAFS_MODE: report.mode,
    IMMUTAFS_ENFORCEMENT: report.enforcement,
  });
}

function findingMessage({ id, status, subject, observed, remedy }: Finding): string {
  const said = subject === '' ? observed : `${subject}: ${observed}`;
  return `${id}: ${status}: ${said}${remedy === '' ? '' : ` To do: ${remedy}`}`;
}
