import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type RegionMount, type Table, parseTable } from './mount-table.ts';
import { type Region, joinPath } from './region.ts';
import { systemUnitOf } from '../../facts/security/programs/process-details.ts';

/** A mount namespace and its mounts of a region. */
export interface Namespace extends Table {
  /** Whether this process is in the namespace. */
  own: boolean;
  /** A process in the namespace: this process, or the one with the lowest PID. */
  pid: number;
  name: string;
  /** The process for messages: "sftpd (process 812, of sftp.service)". */
  who: string;
}

export interface Namespaces {
  all: readonly Namespace[];
  own: Namespace;
  /** Maps the name of a namespace in /proc/PID/ns/mnt ("mnt:[4026531840]") to the namespace. */
  named: ReadonlyMap<string, Namespace>;
  /** The IDs of the mounts of all file systems. IDs are unique across namespaces. */
  ids: ReadonlySet<number>;
  /** Maps an ID to the mount, for the mounts of the region's file system. */
  byId: ReadonlyMap<number, RegionMount>;
  /** The paths of bind mounts that keep a namespace without a process (namespaces(7)). */
  kept: readonly string[];
}

const mountinfoLimit = 64 * 1024 * 1024;

/**
 * Reads the mount table of each mount namespace (proc_pid_ns(5)). Processes that end meanwhile are skipped.
 * @throws SystemError if the mount table of this process cannot be read
 */
export function readNamespaces(reader: SystemReader, region: Region): Namespaces {
  const ids = new Set<number>();
  const kept: { namespace: string; target: string }[] = [];
  const named = new Map<string, Namespace>();
  const read = (folder: string, pid: number, own: boolean, prefix: string): Namespace => {
    const text = reader.read(`${folder}/mountinfo`, mountinfoLimit);
    const table = parseTable(text, region, prefix);
    for (const id of table.ids) ids.add(id);
    kept.push(...table.namespaces);
    return {
      ...table,
      own,
      pid,
      name: nameOf(reader, pid),
      who: own ? 'this process' : describe(reader, pid),
    };
  };
  const ownName = attempt(() => reader.link('/proc/self/ns/mnt')) ?? 'own';
  const own = read('/proc/self', process.pid, true, '/');
  named.set(ownName, own);
  const roots = new Set<string>([`${ownName} /`]);
  for (const { folder, pid, namespace } of threads(reader)) {
    const root = attempt(() => decodeBytes(reader.link(`${folder}/root`)));
    if (root === undefined || roots.has(`${namespace} ${root}`)) continue;
    const found = attempt(() => read(folder, pid, false, root));
    if (found === undefined) continue;
    roots.add(`${namespace} ${root}`);
    const known = named.get(namespace);
    // The mount table of a process with another root (chroot(2)) shows only the mounts below this root.
    named.set(namespace, known === undefined ? found : { ...known, ...merge(known, found) });
  }
  const empty = kept.filter(({ namespace }) => !named.has(namespace));
  return {
    all: [...named.values()],
    own: named.get(ownName) ?? own,
    named,
    ids,
    byId: new Map([...named.values()].flatMap(({ mounts }) => mounts.map((mount) => [mount.id, mount]))),
    kept: [...new Set(empty.map(({ target }) => target))],
  };
}

/** Yields one thread for each mount namespace of each process. */
function* threads(reader: SystemReader): Generator<{ folder: string; pid: number; namespace: string }> {
  for (const pid of reader.processes.list()) {
    const seen = new Set<string>();
    const tasks = attempt(() => reader.list(`/proc/${pid}/task`)) ?? [String(pid)];
    for (const task of tasks) {
      const folder = task === String(pid) ? `/proc/${pid}` : `/proc/${pid}/task/${task}`;
      const namespace = attempt(() => reader.link(`${folder}/ns/mnt`));
      if (namespace === undefined || seen.has(namespace)) continue;
      seen.add(namespace);
      yield { folder, pid, namespace };
    }
  }
}

function merge(one: Table, other: Table): Table {
  const known = new Set(one.mounts.map(({ id }) => id));
  const added = other.mounts.filter(({ id }) => !known.has(id));
  if (added.length === 0) return one;
  const byTarget = new Map(one.byTarget);
  for (const mount of added) byTarget.set(mount.target, [...(byTarget.get(mount.target) ?? []), mount]);
  return {
    ...one,
    mounts: [...one.mounts, ...added],
    byTarget,
    covers: new Set([...one.covers, ...other.covers]),
  };
}

/** A location in the region's file system. */
export interface Place {
  mount: RegionMount;
  /** From the root of the file system. */
  inside: string;
}

/**
 * Resolves a path of a namespace to locations in the region's file system, by the mounts of this file system nearest to
 * the path. Hidden mounts are included, because a process may have opened the path before the mount was hidden.
 */
export function placesOf(table: Table, path: string): Place[] {
  return nearest(table, path, () => true);
}

/** Resolves a path like `placesOf`, but without mounts that another mount hides. */
export function visiblePlacesOf(table: Table, path: string): Place[] {
  const { covers } = table;
  return nearest(table, path, ({ id }, way) => !way.some((target) => covers.has(`${id} ${target}`)));
}

function nearest(
  { byTarget }: Table,
  path: string,
  leads: (mount: RegionMount, way: readonly string[]) => boolean,
): Place[] {
  const way: string[] = [];
  for (let target = path; ; target = target.slice(0, target.lastIndexOf('/')) || '/') {
    way.push(target);
    const mounts = (byTarget.get(target) ?? []).filter((mount) => leads(mount, way));
    if (mounts.length > 0) {
      return mounts.map((mount) => ({ mount, inside: joinPath(mount.root, path.slice(target.length)) }));
    }
    if (target === '/' || target === '') return [];
  }
}

/** Returns the name of a process (proc_pid_comm(5)). */
export function nameOf(reader: SystemReader, pid: number): string {
  return attempt(() => reader.read(`/proc/${pid}/comm`).trim()) ?? '?';
}

/** Describes a process by its name, PID and systemd unit. */
export function describe(reader: SystemReader, pid: number): string {
  const unit = unitOf(reader, pid);
  return `${nameOf(reader, pid)} (process ${pid}${unit === undefined ? '' : `, of ${unit}`})`;
}

/** Returns the systemd service of a process. */
export function unitOf(reader: SystemReader, pid: number): string | undefined {
  const unit = systemUnitOf(attempt(() => reader.read(`/proc/${pid}/cgroup`, 65536)) ?? '');
  return unit.endsWith('.service') ? unit : undefined;
}

/** Calls `action`. @returns undefined after any error, for example if the process has ended or cannot be read */
export function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
