import { unlessSystemError } from '../../lib/errors.ts';
import { decodeBytes } from '../../lib/format.ts';
import { namesIfReadable } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { type Namespaces, nameOf, placesOf } from './namespaces.ts';
import { type Region, deviceNumber, shownPath, joinPath } from './region.ts';

/** A process that could still write to the old directory after the new one is mounted over it. */
export interface HandleOwner {
  pid: number;
  name: string;
  /** How the process uses the directory, with the path: "works in /home/alice". */
  how: string;
}

/** A handle of a process that is in the region if its path and its device number are those of the region. */
interface Candidate {
  pid: number;
  /** The link to the file in /proc; empty for a mapping. */
  link: string;
  /** The path below that of the region; undefined if no mount of the region contains the file. */
  path: string | undefined;
  /**
   * The path that the kernel shows, below /proc/PID/root. If `path` is undefined, the handle counts only if this path
   * exists and leads to another file.
   */
  shown: string | undefined;
  how: (path: string) => string;
}

/**
 * Finds the processes whose working directory or root is in a region, that have a directory in it open, or that have a
 * file in it open or mapped for writing (proc_pid_fd(5)), through any mount of any namespace. Deleted files do not
 * count, because they cannot be copied. Processes that end meanwhile are skipped.
 */
export async function findHandleOwners(reader: SystemReader, namespaces: Namespaces): Promise<HandleOwner[]> {
  const { region } = namespaces;
  const pids = reader.processes.list().filter((pid) => pid !== process.pid);
  const candidates = pids.flatMap((pid) => candidatesOf(reader, namespaces, pid));
  const isReal = await onDevices(reader, region, candidates);
  const held = new Map<number, Candidate>();
  for (const each of candidates) if (!held.has(each.pid) && isReal(each)) held.set(each.pid, each);
  return [...held.values()].map(({ pid, path, how }) => ({
    pid,
    name: nameOf(reader, pid),
    how: how(path ?? `a directory of the old ${region.path} that no path leads to`),
  }));
}

/** Finds running programs in a directory, which cannot be started again when the directory is mounted noexec. */
export function findRunning(reader: SystemReader, folder: string): string[] {
  const programs = reader.processes
    .list()
    .flatMap((pid) => unlessSystemError(() => decodeBytes(reader.link(`/proc/${pid}/exe`))) ?? [])
    .filter((program) => isBelow(program, folder) && !program.endsWith(' (deleted)'));
  return [...new Set(programs)].sort();
}

/** Describes processes: "sshd (process 812) works in /home/alice; and 3 more". */
export function describeHandleOwners(holders: readonly HandleOwner[]): string {
  const shown = holders.slice(0, 5).map(({ pid, name, how }) => `${name} (process ${pid}) ${how}`);
  return `${shown.join('; ')}${holders.length > 5 ? `; and ${holders.length - 5} more` : ''}`;
}

function candidatesOf(reader: SystemReader, namespaces: Namespaces, pid: number): Candidate[] {
  const { region } = namespaces;
  const name = unlessSystemError(() => reader.link(`/proc/${pid}/ns/mnt`)) ?? '';
  const namespace = namespaces.named.get(name) ?? namespaces.own;
  const place = (path: string) =>
    placesOf(namespace, path).flatMap((inside) => shownPath(region, inside) ?? [])[0];
  const root = unlessSystemError(() => decodeBytes(reader.link(`/proc/${pid}/root`))) ?? '/';
  return [
    ...folders(reader, pid, root, place),
    ...opened(reader, namespaces, pid, place),
    ...mapped(reader, region, pid, place),
  ];
}

type Place = (path: string) => string | undefined;

function folders(reader: SystemReader, pid: number, root: string, place: Place): Candidate[] {
  return (['cwd', 'root'] as const).flatMap((kind): Candidate[] => {
    const link = `/proc/${pid}/${kind}`;
    const target = unlessSystemError(() => decodeBytes(reader.link(link)));
    if (target?.startsWith('/') !== true || target.endsWith(' (deleted)')) return [];
    const shown = isBelow(target, root) ? `/proc/${pid}/root/${target.slice(root.length)}` : undefined;
    const how = kind === 'cwd' ? 'works in' : 'has its root in';
    return [{ pid, link, path: place(target), shown, how: (where) => `${how} ${where}` }];
  });
}

function opened(reader: SystemReader, namespaces: Namespaces, pid: number, place: Place): Candidate[] {
  return namesIfReadable(reader, `/proc/${pid}/fd`).flatMap((fd): Candidate[] => {
    const link = `/proc/${pid}/fd/${fd}`;
    const target = unlessSystemError(() => decodeBytes(reader.link(link)));
    if (target?.startsWith('/') !== true || target.endsWith(' (deleted)')) return [];
    const info = unlessSystemError(() => reader.read(`/proc/${pid}/fdinfo/${fd}`, 65536)) ?? '';
    const found = whereOpened(info, target, namespaces, place);
    if (found === undefined) return [];
    // The flags of open(2) in octal. The lowest two bits are O_RDONLY, O_WRONLY or O_RDWR.
    const writes = /^flags:\s*[0-7]*[1256]$/m.test(info);
    if (!writes && unlessSystemError(() => reader.stat(`${link}/.`)?.kind) !== 'directory') return [];
    const how = (where: string) =>
      `has ${writes ? `${where} open for writing` : `the directory ${where} open`}`;
    return [{ pid, link, path: found, shown: undefined, how }];
  });
}

/**
 * Finds the path of an open file.
 * @returns the path below that of the region; the path that the kernel shows if its mount is detached, so that only the device
 * number decides; undefined if the file is not in the region
 */
function whereOpened(
  info: string,
  target: string,
  { region, ids, byId }: Namespaces,
  place: Place,
): string | undefined {
  // Kernels before 3.15 without the backport have no mnt_id (proc_pid_fdinfo(5)), so the path decides.
  const id = Number(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? NaN);
  if (Number.isNaN(id)) return place(target);
  // The mount is detached (umount --lazy) and belongs to no namespace.
  if (!ids.has(id)) return target;
  const mount = byId.get(id);
  if (mount === undefined) return undefined;
  if (!isBelow(target, mount.target)) return place(target);
  return shownPath(region, joinPath(mount.root, target.slice(mount.target.length)));
}

function mapped(reader: SystemReader, { devices }: Region, pid: number, place: Place): Candidate[] {
  const lines = (unlessSystemError(() => reader.read(`/proc/${pid}/maps`)) ?? '').split('\n');
  return lines.flatMap((line): Candidate[] => {
    const [, major = '', minor = '', target = ''] =
      /^\S+ .w.s \S+ ([\da-f]+):([\da-f]+) \d+ +(\/.*)$/.exec(line) ?? [];
    if (target === '' || target.endsWith(' (deleted)')) return [];
    if (!devices.has(`${parseInt(major, 16)}:${parseInt(minor, 16)}`)) return [];
    const path = place(decodeBytes(target));
    if (path === undefined) return [];
    return [{ pid, link: '', path, shown: undefined, how: (where) => `has ${where} mapped for writing` }];
  });
}

/**
 * Returns a function that tests whether a candidate is on the region's file system. If stat(1) hangs, for example on a
 * dead server, candidates with a path in the region count.
 */
async function onDevices(
  reader: SystemReader,
  { devices }: Region,
  candidates: readonly Candidate[],
): Promise<(each: Candidate) => boolean> {
  const files = candidates.flatMap(({ link, path, shown = '' }) => [link, path === undefined ? shown : '']);
  const found = new Map<string, string>();
  const unknown = new Set<string>();
  const wanted = files.filter((file) => file !== '');
  for (let start = 0; start < wanted.length; start += 500) {
    const some = wanted.slice(start, start + 500);
    const { stdout, ended } = await reader.run('/usr/bin/stat', ['-L', '-c', '%d %i %n', ...some]);
    if (ended === 'deadline') for (const file of some) unknown.add(file);
    for (const line of stdout.split('\n')) {
      const [, identity, file] = /^(\d+ \d+) (.*)$/.exec(line) ?? [];
      if (identity !== undefined && file !== undefined) found.set(file, identity);
    }
  }
  return ({ link, path, shown = '' }) => {
    if (link === '') return true;
    if (unknown.has(link)) return path !== undefined;
    const identity = found.get(link);
    const isThere = identity !== undefined && devices.has(deviceNumber(identity.split(' ')[0] ?? ''));
    if (path !== undefined || !isThere) return isThere;
    return shown !== '' && found.has(shown) && found.get(shown) !== identity;
  };
}
