import type { Documentation } from '../checks/check.ts';
import { checks } from '../checks/index.ts';

/** One kind of journal entry. */
export interface Message {
  /** journald's MESSAGE_ID (journal-fields(7)): 128 bits, never changed, never reused. */
  messageId: string;
  documentation: Documentation;
}

/** The last entry of a check that logs everything. */
export const verdictMessage: Message = {
  messageId: '8b081808444b4cb88d9aaee7db9939f8',
  documentation: {
    title: 'Whether this guest is sealed',
    means:
      'What follows from all checks: sealed, failed, maintenance, off, or unknown where a required check could not be evaluated.',
    why: 'It is the one answer that monitoring needs; the exit code of `immutafs-agent status` is the same.',
    fix: 'Where it is failed or unknown, see the entries of the single checks before it, or `immutafs-agent status`.',
  },
};

/** A check's answer is no longer what it was at the last look. */
export const driftMessage: Message = {
  messageId: 'af57f07855eb403b8b89ca4a7ef2fe4e',
  documentation: {
    title: 'A check of this guest changed',
    means:
      'Between two looks of immutafs-check.timer the status of one check became another. IMMUTAFS_OLD_STATUS and IMMUTAFS_STATUS have both, IMMUTAFS_CHECK its name.',
    why: 'On a sealed guest little changes by itself. Somebody may have remounted a file system, or the layer in RAM is filling up.',
    fix: 'Find out who or what did it, from the journal around this time. `immutafs-agent status --explain CHECK` says how to mend it; a reboot brings a sealed guest back to what was installed.',
  },
};

/** @throws Error for a check that is not in the list */
export function checkMessageId(id: string): string {
  const found = checks.find((check) => check.id === id);
  if (found === undefined) throw new Error(`no check is called ${id}`);
  return found.messageId;
}
