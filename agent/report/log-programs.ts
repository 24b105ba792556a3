import { type LastReport, programKey } from '../facts/last-report.ts';
import type { ForeignProgram } from '../facts/security/programs/foreign-programs.ts';
import { type Log, priority } from '../system/log.ts';
import { programMessage } from './log-messages.ts';
import type { Report } from './report.ts';

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
    (each) => byKey.get(programKey(each)) === each && !isKnown(each, before),
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

function isKnown(program: ForeignProgram, before: LastReport | undefined): boolean {
  return before?.programs.has(programKey(program)) === true;
}
