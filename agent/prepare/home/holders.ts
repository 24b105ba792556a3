import { decodeBytes } from '../../format.ts';
import type { Host } from '../../host.ts';
import { isBelow } from '../../observe/mountinfo.ts';

/** A process that could go on writing to the old /home when a new one is mounted over it. */
export interface Holder {
  pid: number;
  name: string;
  /** What it does, with the path: "works in /home/alice". */
  how: string;
}

/**
 * Who works in a folder, has a folder of it open, or has a file in it open or mapped for writing (proc_pid_fd(5)).
 * What was removed counts for nothing: it cannot be copied. Processes come and go while they are looked at.
 */
export function findHolders(host: Host, folder: string): Holder[] {
  return host
    .list('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const how = held(host, `/proc/${pid}`, folder);
      if (how === undefined) return [];
      return [{ pid: Number(pid), name: attempt(() => host.read(`/proc/${pid}/comm`).trim()) ?? '?', how }];
    });
}

/** What is run from a folder, which noexec will refuse at its next start. */
export function findRunning(host: Host, folder: string): string[] {
  const programs = host
    .list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => attempt(() => host.link(`/proc/${pid}/exe`)) ?? [])
    .filter((program) => isIn(program, folder));
  return [...new Set(programs)].sort();
}

/** "sshd (812) works in /home/alice; and 3 more" */
export function describeHolders(holders: readonly Holder[]): string {
  const shown = holders.slice(0, 5).map(({ pid, name, how }) => `${name} (process ${pid}) ${how}`);
  return `${shown.join('; ')}${holders.length > 5 ? `; and ${holders.length - 5} more` : ''}`;
}

function held(host: Host, process: string, folder: string): string | undefined {
  for (const [link, how] of [
    ['cwd', 'works in'],
    ['root', 'has its root in'],
  ] as const) {
    const path = attempt(() => host.link(`${process}/${link}`));
    if (path !== undefined && isIn(path, folder)) return `${how} ${path}`;
  }
  return opened(host, process, folder) ?? mapped(host, process, folder);
}

function opened(host: Host, process: string, folder: string): string | undefined {
  for (const fd of attempt(() => host.list(`${process}/fd`)) ?? []) {
    const path = attempt(() => host.link(`${process}/fd/${fd}`));
    if (path === undefined || !isIn(path, folder)) continue;
    const info = attempt(() => host.read(`${process}/fdinfo/${fd}`, 65536)) ?? '';
    // open(2)'s flags, in octal: the lowest two bits are O_RDONLY, O_WRONLY or O_RDWR.
    if (/^flags:\s*[0-7]*[1256]$/m.test(info)) return `has ${path} open for writing`;
    if (attempt(() => host.stat(decodeBytes(path))?.kind) === 'directory')
      return `has the folder ${path} open`;
  }
  return undefined;
}

function mapped(host: Host, process: string, folder: string): string | undefined {
  for (const line of (attempt(() => host.read(`${process}/maps`)) ?? '').split('\n')) {
    const [, path = ''] = /^\S+ .w.s \S+ \S+ \S+ +(\/.*)$/.exec(line) ?? [];
    if (path !== '' && isIn(path, folder)) return `has ${path} mapped for writing`;
  }
  return undefined;
}

function isIn(path: string, folder: string): boolean {
  return isBelow(path, folder) && !path.endsWith(' (deleted)');
}

/** What belongs to a process that is gone, or that one may not look at. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
