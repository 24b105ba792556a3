import type { Documentation, Finding } from '../checks/check.ts';
import { type LastReport, programKey } from '../facts/records.ts';
import { type Fields, type Log, priority } from '../system/log.ts';
import type { Report } from './report.ts';
import { checks } from '../checks/index.ts';

const levels = {
  pass: priority.info,
  skip: priority.info,
  warn: priority.warning,
  fail: priority.error,
  error: priority.error,
};

export function logReport(report: Report, log: Log): void {
  for (const finding of report.checks) {
    log(levels[finding.status], `${finding.id}: ${finding.status}: ${describe(finding)}`, {
      MESSAGE_ID: checkMessageId(finding.id),
      ...fields(finding),
    });
  }
  logVerdict(report, log, '');
}

/**
 * Finds the changes of status since the previous report. Ignores other changes, because observed values such as bytes in
 * use change constantly.
 */
export function findDrift(before: LastReport, now: Report) {
  const findings = now.checks
    .map((finding) => ({ finding, before: before.checks.get(finding.id) }))
    .filter((each) => each.before !== each.finding.status);
  return {
    /** The findings whose status changed. `before` is undefined if the previous report does not contain the check. */
    findings,
    /** The previous verdict; undefined if the verdict has not changed. */
    verdict: before.verdict === now.verdict ? undefined : before.verdict,
  };
}

/** Logs one entry for each check whose status changed, and one entry for the verdict if the verdict changed. */
export function logDrift(drift: ReturnType<typeof findDrift>, report: Report, log: Log): void {
  const { findings, verdict } = drift;
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

/** A type of journal entry. */
export interface LogMessage extends Documentation {
  /** MESSAGE_ID of the journal entry (systemd.journal-fields(7)). Never change or reuse an id. */
  messageId: string;
}

export const verdictMessage: LogMessage = {
  messageId: '8b081808444b4cb88d9aaee7db9939f8',
  title: 'Verdict of all checks: whether this guest is sealed',
  means:
    'The verdict is one of: sealed; unenforced (MODE=sealed: the checks passed, but the host left a system disk writable, so that the guest alone enforces the seal); rehearsal (the checks passed, but the guest alone enforces the seal, for one boot); failed (a required check failed); unknown (a required check could not be evaluated); maintenance; off.',
  why: 'Monitoring needs this one value. The exit code of `immutafs-agent status` is derived from it.',
  fix: 'If the verdict is failed or unknown, read the preceding journal entries of the checks, or run `immutafs-agent status`.',
};

/** The entry for a check whose status differs from the previous report. */
export const driftMessage: LogMessage = {
  messageId: 'af57f07855eb403b8b89ca4a7ef2fe4e',
  title: 'The status of a check changed',
  means:
    'Between two runs of immutafs-check.timer the status of one check changed. The field IMMUTAFS_CHECK names the check; IMMUTAFS_OLD_STATUS and IMMUTAFS_STATUS hold the two values.',
  why: 'The status of a check on a sealed guest rarely changes without a cause. For example, a process remounted a file system, or the overlay in RAM is nearly full.',
  fix: 'Find the cause in the journal around this time. `immutafs-agent status --explain CHECK` describes how to fix the problem. A reboot returns a sealed guest to the installed state.',
};

/** The entry for a foreign program that the previous report does not list. */
export const programMessage: LogMessage = {
  messageId: '2cfa43e2881f448d92e053c7baa69856',
  title: 'A program runs that did not come from the sealed disk',
  means:
    'A process runs a program, or has mapped a library, that is not on a disk that the host made read-only, and the previous check did not report it: a program with this path, user and unit. The fields IMMUTAFS_PID, IMMUTAFS_PATH, IMMUTAFS_REASON, IMMUTAFS_USER, IMMUTAFS_UNIT, IMMUTAFS_COMMAND and IMMUTAFS_STARTED describe the process.',
  why: 'Everything that was installed is on the sealed disk, so the program is new since this boot or was kept on a data disk. It may be that of an attacker.',
  fix: 'Find out who started the process: systemctl status PID, ls -l /proc/PID/exe. `immutafs-agent status --explain foreign-programs` describes how to permit a program. A reboot returns a sealed guest to the installed state.',
};

/** Returns the MESSAGE_ID of a check. @throws Error if there is no check with this id */
function checkMessageId(id: string): string {
  const found = checks.find((check) => check.id === id);
  if (found === undefined) throw new Error(`no check is called ${id}`);
  return found.messageId;
}

/** Limit for the entries of one check, so that many new processes do not flood the journal. */
const logged = 20;

/**
 * Logs one entry for each foreign program that the previous report does not list. A restarted process of the same path,
 * user and unit is not new.
 */
export function logNewPrograms({ programs }: Report, before: LastReport | undefined, log: Log): void {
  if (programs === null) return;
  const byKey = new Map(programs.list.toReversed().map((each) => [programKey(each), each]));
  const fresh = programs.list.filter(
    (each) => byKey.get(programKey(each)) === each && before?.programs.has(programKey(each)) !== true,
  );
  for (const { pid, path, reason, user, unit, command, startedAt } of fresh.slice(0, logged)) {
    const who = [user, unit].filter((each) => each !== '').join(', ');
    log(
      priority.warning,
      `PID ${pid}${who === '' ? '' : ` (${who})`}: a program not from the sealed disk: ${path}: ${reason}`,
      {
        MESSAGE_ID: programMessage.messageId,
        IMMUTAFS_PID: String(pid),
        IMMUTAFS_PATH: path,
        IMMUTAFS_REASON: reason,
        IMMUTAFS_USER: user,
        IMMUTAFS_UNIT: unit,
        IMMUTAFS_COMMAND: command,
        IMMUTAFS_STARTED: startedAt ?? '',
      },
    );
  }
  const more = fresh.length - logged;
  if (more > 0) {
    const message = `${more} more new programs that are not from the sealed disk: immutafs-agent status --json`;
    log(priority.warning, message, { MESSAGE_ID: programMessage.messageId });
  }
}
