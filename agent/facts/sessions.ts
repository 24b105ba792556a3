import * as v from 'valibot';
import { unlessAbsent, unlessSystemError } from '../lib/errors.ts';
import { parseRecord } from '../lib/json-record.ts';
import type { SystemReader } from '../system/reader.ts';

/** A directory for each session, whose name is the number of the session. Only root can write to it. */
export const sessionsFolder = '/run/immutafs/sessions';

export const sessionFolder = (id: number): string => `${sessionsFolder}/${id}`;

const schema = v.object({
  id: v.number(),
  /** The user who logged in, also if root started the session (proc_pid_loginuid(5)). */
  user: v.string(),
  /** Empty without a terminal. */
  terminal: v.string(),
  /** ISO 8601. */
  since: v.string(),
  until: v.string(),
  /** Whether packages may be installed. */
  installs: v.boolean(),
  command: v.array(v.string()),
});

/** What `immutafs-agent session` records about a session. */
export type SessionRecord = v.InferOutput<typeof schema>;

export interface Session extends SessionRecord {
  /** The packages that were installed in the session, as "NAME VERSION"; null if they are unknown. */
  installed: string[] | null;
}

const recordLimit = 1024 * 1024;

/** Returns the records of the sessions of this boot that have not ended, in the order of their numbers. */
export function listSessions(reader: SystemReader): SessionRecord[] {
  const names = unlessAbsent(() => reader.list(sessionsFolder)) ?? [];
  return names
    .filter((name) => /^[1-9]\d*$/.test(name))
    .flatMap((name) => readSession(reader, Number(name)) ?? [])
    .sort((one, other) => one.id - other.id);
}

/** Returns undefined if there is no such session. */
export function readSession(reader: SystemReader, id: number): SessionRecord | undefined {
  const file = `${sessionFolder(id)}/session.json`;
  const text = reader.readRecord(file, 'root', recordLimit);
  return text === undefined ? undefined : parseRecord(schema, Buffer.from(text, 'latin1').toString(), file);
}

/** Returns the sessions with what was installed in them. */
export const readSessions = (reader: SystemReader): Session[] =>
  listSessions(reader).map((session) => ({ ...session, installed: readInstalled(reader, session) }));

/**
 * Returns the packages that a session has and that the guest did not have at its start, as the session itself lists them;
 * null if they are unknown.
 */
export function readInstalled(reader: SystemReader, { id, installs }: SessionRecord): string[] | null {
  if (!installs) return [];
  const read = (name: string) => {
    const text = unlessSystemError(() =>
      reader.readRecord(`${sessionFolder(id)}/${name}`, 'root', packagesLimit),
    );
    return text?.split('\n').filter((line) => line !== '');
  };
  const [before, now] = [read('packages'), read('installed')];
  if (before === undefined || now === undefined) return null;
  const known = new Set(before);
  return [...new Set(now)].filter((each) => !known.has(each)).sort();
}

const packagesLimit = 16 * 1024 * 1024;

/**
 * Returns the process that keeps the mount namespace of a session, and the namespace ("mnt:[…]"). undefined if it has ended,
 * or for a user other than root.
 */
export function holderOf(reader: SystemReader, id: number): { pid: number; namespace: string } | undefined {
  return unlessSystemError(() => {
    const pid = Number(reader.readRecord(`${sessionFolder(id)}/holder`, 'root', 64) ?? NaN);
    const namespace = Number.isInteger(pid) ? reader.processes.link(pid, 'ns/mnt') : undefined;
    // Another process may have the ID by now. It is then most probably in the namespace of the guest.
    if (namespace === undefined || namespace === reader.processes.link(1, 'ns/mnt')) return undefined;
    return { pid, namespace };
  });
}

/** Returns a function that tells the session in whose mount namespace a process is. */
export function sessionFinder(reader: SystemReader): (pid: number) => SessionRecord | undefined {
  const byNamespace = new Map(
    listSessions(reader).flatMap((session) => {
      const holder = holderOf(reader, session.id);
      return holder === undefined ? [] : [[holder.namespace, session] as const];
    }),
  );
  if (byNamespace.size === 0) return () => undefined;
  return (pid) => byNamespace.get(unlessSystemError(() => reader.processes.link(pid, 'ns/mnt')) ?? '');
}
