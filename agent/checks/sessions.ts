import type { Session } from '../facts/sessions.ts';
import { unwrap } from '../facts/observed.ts';
import { minute, shortList } from '../lib/format.ts';
import type { Check } from './check.ts';

export const sessionAbsent: Check = {
  id: 'session-absent',
  severity: 'advisory',
  messageId: 'dc5205c7cce444ea8e0acc0ec2223e78',
  expected: 'no session',
  evaluate: ({ sessions }) => {
    const list = unwrap(sessions);
    const [first] = list;
    if (first === undefined) return { status: 'pass', observed: 'no session' };
    return {
      status: 'warn',
      subject: list.map(({ id }) => `${id}`).join(' '),
      observed: list.map(describeSession).join('; '),
      remedy: `Wait for its end, or end it: systemctl stop immutafs-session@${first.id}`,
    };
  },
};

/** Describes a session: "session 1 of alice (pts/0) since 2026-12-01 03:00 UTC until …: installed strace 6.13". */
function describeSession({ id, user, terminal, since, until, command, installed }: Session): string {
  const who = terminal === '' ? user : `${user} (${terminal})`;
  const what = command.length === 0 ? [] : [`runs ${command.join(' ').slice(0, shownCommand)}`];
  const packages =
    installed === null
      ? ['installed packages unknown']
      : installed.length > 0
        ? [`installed ${shortList(installed, ', ')}`]
        : [];
  const facts = [...what, ...packages];
  const when = `since ${minute(since)} until ${minute(until)}`;
  return `session ${id} of ${who} ${when}${facts.length === 0 ? '' : `: ${facts.join('; ')}`}`;
}

const shownCommand = 80;
