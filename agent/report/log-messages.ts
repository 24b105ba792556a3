import type { Documentation } from '../checks/check.ts';
import { checks } from '../checks/index.ts';

/** One kind of journal entry. */
export interface LogMessage {
  /** journald's MESSAGE_ID (journal-fields(7)): 128 bits, never changed, never reused. */
  messageId: string;
  documentation: Documentation;
}

/** The last entry that `check` logs with all findings. */
export const verdictMessage: LogMessage = {
  messageId: '8b081808444b4cb88d9aaee7db9939f8',
  documentation: {
    title: 'Verdict of all checks: whether this guest is sealed',
    means:
      'The verdict is one of: sealed; failed (a required check failed); unknown (a required check could not be evaluated); maintenance; off.',
    why: 'Monitoring needs this one value. The exit code of `immutafs-agent status` is derived from it.',
    fix: 'If the verdict is failed or unknown, read the entries of the single checks before this one, or run `immutafs-agent status`.',
  },
};

/** The status of a check differs from the previous report. */
export const driftMessage: LogMessage = {
  messageId: 'af57f07855eb403b8b89ca4a7ef2fe4e',
  documentation: {
    title: 'The status of a check changed',
    means:
      'Between two runs of immutafs-check.timer the status of one check changed. The field IMMUTAFS_CHECK names the check; IMMUTAFS_OLD_STATUS and IMMUTAFS_STATUS hold the two values.',
    why: 'Little changes on a sealed guest without a cause. A process may have remounted a file system, or the overlay in RAM is filling up.',
    fix: 'Find the cause in the journal around this time. `immutafs-agent status --explain CHECK` tells how to fix the check. A reboot returns a sealed guest to the installed state.',
  },
};

/** @throws Error for a check that is not in the list */
export function checkMessageId(id: string): string {
  const found = checks.find((check) => check.id === id);
  if (found === undefined) throw new Error(`no check is called ${id}`);
  return found.messageId;
}
