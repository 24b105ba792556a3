import { decodeBytes } from '../../../lib/format.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { MountTable } from '../../mounts/mountinfo.ts';
import { readAccounts } from '../../identity.ts';

/** The description of a process. A field is empty if the process has exited. */
export interface ProcessDetails {
  /** The name of the effective user; the user ID if /etc/passwd has no name. */
  user: string;
  /** The systemd unit; empty if the process is in no unit. */
  unit: string;
  /** The command line, shortened; only the name of the program with hidepid= on /proc, or if it cannot be read. */
  command: string;
  /** ISO 8601; null if the process has exited. */
  startedAt: string | null;
}

/** Command lines may contain secrets and are not needed in full to recognise a program. */
const shownCommand = 256;
const fileLimit = 65536;
/** USER_HZ, the unit of times in /proc/PID/stat, on all architectures that RHEL supports. */
export const ticksPerSecond = 100;

/**
 * Returns a function that describes processes. Reads /etc/passwd when it is called first.
 * @param pids the processes that will be described
 */
export async function processDescriber(
  reader: SystemReader,
  mounts: MountTable,
  pids: readonly number[],
): Promise<(pid: number) => ProcessDetails> {
  let users: Map<string, string> | undefined;
  const { seconds } = reader.environment();
  const now = reader.now().getTime();
  // Every user may read the report, so it must not show command lines that hidepid= hides (proc(5)).
  const isHidden = (mounts.serving('/proc')?.superOptions ?? []).some(
    (option) => option.startsWith('hidepid=') && !/^hidepid=(0|off)$/.test(option),
  );
  const silent = isHidden || pids.length === 0 ? undefined : await reader.processes.silent(pids, 'cmdline');
  return (pid) => {
    const read = (name: string) => readOrNothing(reader, pid, name);
    const uid = /^Uid:\t\d+\t(\d+)/m.exec(read('status'))?.[1] ?? '';
    users ??= readUsers(reader);
    const ticks = startTicks(read('stat'));
    const started = ticks === undefined ? undefined : now + (ticks / ticksPerSecond - seconds) * 1000;
    return {
      user: users.get(uid) ?? uid,
      unit: unitOf(read('cgroup')),
      command: commandOf(isHidden || silent?.has(pid) === true ? '' : read('cmdline'), read('comm')),
      startedAt: started === undefined ? null : new Date(started).toISOString(),
    };
  };
}

function readOrNothing(reader: SystemReader, pid: number, name: string): string {
  try {
    return reader.processes.read(pid, name, fileLimit) ?? '';
  } catch {
    return '';
  }
}

function readUsers(reader: SystemReader): Map<string, string> {
  const users = new Map<string, string>();
  for (const { name, uid } of readAccounts(reader)) {
    if (uid !== '' && !users.has(uid)) users.set(uid, decodeBytes(name));
  }
  return users;
}

/**
 * Returns the time at which a process started, in ticks since the boot: field 22 of /proc/PID/stat
 * (proc_pid_stat(5)). The name in parentheses may contain spaces and parentheses.
 */
export function startTicks(stat: string): number | undefined {
  const field = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return field === undefined || !/^\d+$/.test(field) ? undefined : Number(field);
}

/**
 * Returns the innermost service or scope in the path of systemd's cgroup; with cgroup v1, the hierarchy is
 * name=systemd. A unit may create further cgroups below its own.
 */
export function unitOf(cgroup: string): string {
  return unitsOf(cgroup).at(-1) ?? '';
}

/** Returns the outermost service or scope, which is a unit of PID 1. Users can give any name to the units below theirs. */
export function systemUnitOf(cgroup: string): string {
  return unitsOf(cgroup)[0] ?? '';
}

/** If both versions of cgroups are mounted, systemd uses either hierarchy, and the other one names no units. */
function unitsOf(cgroup: string): string[] {
  const found = cgroup.split('\n').flatMap((line) => {
    const [, controllers, path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const names = path.split('/').filter((name) => /\.(service|scope)$/.test(name));
    return (controllers === 'name=systemd' || controllers === '') && names.length > 0 ? [names] : [];
  });
  return (found[0] ?? []).map(decodeBytes);
}

function commandOf(cmdline: string, comm: string): string {
  const words = decodeBytes(cmdline.replace(/\0+$/, '').replaceAll('\0', ' '));
  if (words !== '') return words.length > shownCommand ? `${words.slice(0, shownCommand)}…` : words;
  const name = decodeBytes(comm.replace(/\n$/, ''));
  return name === '' ? '' : `[${name}]`;
}
