import type { SessionRecord } from '../facts/sessions.ts';
import { minute, shortList } from '../lib/format.ts';
import { type Fields, type Log, priority } from '../system/log.ts';
import type { LogMessage } from './log.ts';

/** The messages about sessions, with their catalog texts. */
export const sessionMessages = {
  started: {
    messageId: 'bcf027a583154bf7aefb6c2d1e8ccbe0',
    title: 'a session with temporary tools began',
    means:
      'Root started a shell or a command with `immutafs-agent session`. The fields IMMUTAFS_SESSION, IMMUTAFS_USER, IMMUTAFS_TERMINAL, IMMUTAFS_UNTIL, IMMUTAFS_ALLOW_INSTALL and IMMUTAFS_COMMAND describe the session.',
    why: 'In a session, root can run programs that are not on the sealed disk. They are discarded when the session ends.',
    fix: 'If you do not know the session, end it: systemctl stop immutafs-session@NUMBER. SESSION=off permits no sessions.',
    page: 'session.md',
  },
  ended: {
    messageId: '91616bcdc8044da88eb75f0e256a8260',
    title: 'a session with temporary tools ended',
    means:
      'The command of the session exited, the session reached its time limit, or it was ended. Its processes were ended and its changes were discarded. The field IMMUTAFS_INSTALLED lists the packages that were installed in it.',
    why: 'The list of packages shows what ran in the session, after everything else of it is gone.',
    fix: 'Nothing. Install a package that is needed in many sessions while the disk is writable.',
    page: 'session.md',
  },
} satisfies Record<string, LogMessage>;

/** Logs the start of a session. */
export function startOfSession(log: Log, session: SessionRecord): void {
  const { until, installs } = session;
  const may = installs ? ' with --allow-install' : '';
  log(priority.notice, `${describe(session)} began${may}, until ${minute(until)}`, {
    MESSAGE_ID: sessionMessages.started.messageId,
    ...fields(session),
  });
}

/** Logs the end of a session. @param installed null if the packages are unknown */
export function endOfSession(log: Log, session: SessionRecord, installed: string[] | null, at: Date): void {
  const reason = at.toISOString() >= session.until ? ' at its time limit' : '';
  const packages =
    installed === null
      ? 'the installed packages are unknown'
      : installed.length === 0
        ? 'no package was installed'
        : `installed: ${shortList(installed, ', ')}`;
  log(priority.notice, `${describe(session)} ended${reason}; ${packages}`, {
    MESSAGE_ID: sessionMessages.ended.messageId,
    ...fields(session),
    IMMUTAFS_INSTALLED: (installed ?? []).join('\n'),
  });
}

const describe = ({ id, user, command }: SessionRecord) =>
  `Session ${id} of ${user}${command.length === 0 ? '' : ` (${command.join(' ')})`}`;

function fields({ id, user, terminal, since, until, installs, command }: SessionRecord): Fields {
  return {
    IMMUTAFS_SESSION: `${id}`,
    IMMUTAFS_USER: user,
    IMMUTAFS_TERMINAL: terminal,
    IMMUTAFS_SINCE: since,
    IMMUTAFS_UNTIL: until,
    IMMUTAFS_ALLOW_INSTALL: installs ? 'yes' : 'no',
    IMMUTAFS_COMMAND: command.join(' '),
  };
}
