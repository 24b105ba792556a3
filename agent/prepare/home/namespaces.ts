import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type RegionMount, type Table, parseTable } from './mount-table.ts';
import { type Region, joinPath } from './region.ts';

/** A mount namespace and its mounts of a region. */
export interface Namespace extends Table {
  /** Whether this process is in it. */
  own: boolean;
  /** The process in it with the lowest number. */
  pid: number;
  /** "sftpd (process 812, of sftp.service)" */
  who: string;
}

export interface Namespaces {
  all: readonly Namespace[];
  own: Namespace;
  /** By the mount namespace's name in /proc/PID/ns/mnt: "mnt:[4026531840]". */
  named: ReadonlyMap<string, Namespace>;
  /** The IDs of all mounts, of all file systems. A mount has another ID in each namespace. */
  ids: ReadonlySet<number>;
  /** Those of the region's file system, by their ID. */
  byId: ReadonlyMap<number, RegionMount>;
  /** Where namespaces without a process are mounted (nsenter(1), namespaces(7)). */
  kept: readonly string[];
}

const mountinfoLimit = 64 * 1024 * 1024;

/**
 * Reads the mount table of each mount namespace once (proc_pid_ns(5)). Processes and threads may start and end meanwhile.
 * @throws HostError if this process's own table cannot be read
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
    return { ...table, own, pid, who: own ? 'this process' : describe(reader, pid) };
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
    // The table of a process with another root (chroot(2)) shows only a part of the namespace.
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

/** One thread for each mount namespace of each process. */
function* threads(reader: SystemReader): Generator<{ folder: string; pid: number; namespace: string }> {
  const pids = reader.list('/proc').filter((name) => /^\d+$/.test(name));
  for (const pid of pids.map(Number).sort((one, other) => one - other)) {
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

/** Where a path leads in the region's file system. */
export interface Place {
  mount: RegionMount;
  inside: string;
}

/**
 * Where a path of a namespace leads or led in the region's file system: by the nearest mount of this file system. A mount
 * that another one hides counts, because files that were opened before are still open.
 */
export function placesOf(table: Table, path: string): Place[] {
  return nearest(table, path, () => true);
}

/** Where a path leads now: mounts that another file system covers do not count. */
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

/** The name, ID and systemd unit of a process. */
export function describe(reader: SystemReader, pid: number): string {
  const name = attempt(() => reader.read(`/proc/${pid}/comm`).trim()) ?? '?';
  const unit = unitOf(reader, pid);
  return `${name} (process ${pid}${unit === undefined ? '' : `, of ${unit}`})`;
}

/** By systemd's own cgroup hierarchy, or the only one (cgroups(7)): "1:name=systemd:/system.slice/sshd.service". */
export function unitOf(reader: SystemReader, pid: number): string | undefined {
  const text = attempt(() => reader.read(`/proc/${pid}/cgroup`, 65536)) ?? '';
  return /^(?:\d+:name=systemd|0:):.*?\/([^/\n]+\.service)(?:\/|$)/m.exec(text)?.[1];
}

/** @returns undefined after an error: the process has ended, or may not be read */
export function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
