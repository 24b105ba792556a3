import type { Finding } from '../checks/check.ts';
import type { LastReport } from '../facts/last-report.ts';
import type { Report } from './report.ts';

/** What is no longer as it was at the last look. */
export interface Drift {
  /** Each with the status that it had; undefined for a check that there was not. */
  findings: { finding: Finding; before: string | undefined }[];
  /** The verdict before; undefined where it is the same. */
  verdict: string | undefined;
}

/** Only a change of status counts: what a check observed changes all the time (bytes in use). */
export function findDrift(before: LastReport, now: Report): Drift {
  const findings = now.checks
    .map((finding) => ({ finding, before: before.checks.get(finding.id) }))
    .filter((each) => each.before !== each.finding.status);
  return { findings, verdict: before.verdict === now.verdict ? undefined : before.verdict };
}
