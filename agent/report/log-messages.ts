import type { Documentation } from '../checks/check.ts';
import { checks } from '../checks/index.ts';

/** A type of journal entry. */
export interface LogMessage {
  /** MESSAGE_ID of the journal entry (systemd.journal-fields(7)). Never change or reuse an id. */
  messageId: string;
  documentation: Documentation;
}

/** The entry that `check` logs after the findings. */
export const verdictMessage: LogMessage = {
  messageId: '8b081808444b4cb88d9aaee7db9939f8',
  documentation: {
    title: 'Verdict of all checks: whether this guest is sealed',
    means:
      'The verdict is one of: sealed; rehearsal (the checks passed, but the guest alone enforces the seal, for one boot); failed (a required check failed); unknown (a required check could not be evaluated); maintenance; off.',
    why: 'Monitoring needs this one value. The exit code of `immutafs-agent status` is derived from it.',
    fix: 'If the verdict is failed or unknown, read the preceding journal entries of the checks, or run `immutafs-agent status`.',
  },
};

/** The entry for a check whose status differs from the previous report. */
export const driftMessage: LogMessage = {
  messageId: 'af57f07855eb403b8b89ca4a7ef2fe4e',
  documentation: {
    title: 'The status of a check changed',
    means:
      'Between two runs of immutafs-check.timer the status of one check changed. The field IMMUTAFS_CHECK names the check; IMMUTAFS_OLD_STATUS and IMMUTAFS_STATUS hold the two values.',
    why: 'The status of a check on a sealed guest rarely changes without a cause. For example, a process remounted a file system, or the overlay in RAM is nearly full.',
    fix: 'Find the cause in the journal around this time. `immutafs-agent status --explain CHECK` describes how to fix the problem. A reboot returns a sealed guest to the installed state.',
  },
};

/** The entry for a foreign program that the previous report does not list. */
export const programMessage: LogMessage = {
  messageId: '2cfa43e2881f448d92e053c7baa69856',
  documentation: {
    title: 'A program runs that did not come from the sealed disk',
    means:
      'A process runs a program, or has mapped a library, that is not on a disk that the host made read-only, and the previous check did not report it: a program with this path, user and unit. The fields IMMUTAFS_PID, IMMUTAFS_PATH, IMMUTAFS_REASON, IMMUTAFS_USER, IMMUTAFS_UNIT, IMMUTAFS_COMMAND and IMMUTAFS_STARTED describe the process.',
    why: 'Everything that was installed is on the sealed disk, so the program is new since this boot or was kept on a data disk. It may be that of an attacker.',
    fix: 'Find out who started the process: systemctl status PID, ls -l /proc/PID/exe. `immutafs-agent status --explain foreign-programs` describes how to permit a program. A reboot returns a sealed guest to the installed state.',
  },
};

/** Returns the MESSAGE_ID of a check. @throws Error if there is no check with this id */
export function checkMessageId(id: string): string {
  const found = checks.find((check) => check.id === id);
  if (found === undefined) throw new Error(`no check is called ${id}`);
  return found.messageId;
}
