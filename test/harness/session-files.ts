import type { SessionRecord } from '../../agent/facts/sessions.ts';
import { type Change, all, file } from './changes.ts';

/** A session of alice in which packages may be installed. */
export const aSession: SessionRecord = {
  ...{ id: 1, user: 'alice', terminal: 'pts/0', installs: true, command: [] },
  ...{ since: '2026-03-04T03:00:00.000Z', until: '2026-03-04T07:00:00.000Z' },
};

const folder = 'run/immutafs/sessions';

/** The record of a session. */
export const recorded = (changes: Partial<SessionRecord> = {}): Change => {
  const record = { ...aSession, ...changes };
  return file(`${folder}/${record.id}/session.json`, JSON.stringify(record));
};

/** The process that keeps the mount namespace of the session. */
export const held = (id = 1, pid = 77, namespace = 'mnt:[4026532000]'): Change =>
  all(
    file('proc/1/ns/mnt', { linkTo: 'mnt:[4026531840]' }),
    file(`proc/${pid}/ns/mnt`, { linkTo: namespace }),
    file(`${folder}/${id}/holder`, `${pid}\n`),
  );

/** The packages of the guest at the start of the session, and those of the session. */
export const listed = (...packages: string[]): Change =>
  all(
    file(`${folder}/1/packages`, 'bash 5.2\ncoreutils 9.7\n'),
    file(`${folder}/1/installed`, packages.map((each) => `${each}\n`).join('')),
  );
