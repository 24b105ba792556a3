import { decodeBytes, unescapeOctal } from '../../lib/format.ts';
import { unlessSystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Region, joinPath } from './region.ts';
import { systemUnitOf } from '../../facts/security/programs/process-details.ts';

/** A mount of the region's file system. */
export interface RegionMount {
  id: number;
  root: string;
  /** The mount point, from the root of the namespace. */
  target: string;
  writable: boolean;
  /** The peer group of the mount, and the peer group from which it receives mounts (mount_namespaces(7)). */
  shared: string | undefined;
  master: string | undefined;
}

export interface Table {
  mounts: readonly RegionMount[];
  byTarget: ReadonlyMap<string, readonly RegionMount[]>;
  /**
   * For each mount whose parent is in `mounts`: "ID TARGET", with the ID of the parent. It covers this path of the
   * parent.
   */
  covers: ReadonlySet<string>;
  /** The directories that overlays and other stacked file systems use, with the path that the kernel shows. */
  backed: readonly { type: string; target: string; path: string }[];
}

export interface Namespace extends Table {
  own: boolean;
  /** A process in the namespace: this process, or the one with the lowest PID. */
  pid: number;
  name: string;
  /** The process for messages: "sftpd (process 812, of sftp.service)". */
  who: string;
}

/** The mounts of a region in every mount namespace. */
export interface Namespaces {
  region: Region;
  all: readonly Namespace[];
  own: Namespace;
  /** Maps the name of a namespace in /proc/PID/ns/mnt ("mnt:[4026531840]") to the namespace. */
  named: ReadonlyMap<string, Namespace>;
  /** The IDs of the mounts of all file systems. IDs are unique across namespaces. */
  ids: ReadonlySet<number>;
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
  /** Adds the lines of a mount table that matter for the region. Of several lines of a mount, the first counts. */
  const addTable = (known: Map<number, Line>, folder: string, root: string) => {
    const lines = parseMounts(reader.read(`${folder}/mountinfo`, mountinfoLimit), root);
    const inRegion = new Set(lines.filter(({ device }) => region.devices.has(device)).map(({ id }) => id));
    for (const line of lines) {
      ids.add(line.id);
      if (known.has(line.id)) continue;
      const isNamespace = line.root.startsWith('mnt:[');
      const matters = inRegion.has(line.id) || inRegion.has(line.parent) || backingOf(line).length > 0;
      if (matters || isNamespace) known.set(line.id, line);
    }
    return known;
  };
  const ownName = unlessSystemError(() => reader.link('/proc/self/ns/mnt')) ?? 'own';
  const found = new Map([[ownName, { pid: process.pid, lines: addTable(new Map(), '/proc/self', '/') }]]);
  const roots = new Set<string>([`${ownName} /`]);
  for (const { folder, pid, namespace } of threads(reader)) {
    const root = unlessSystemError(() => decodeBytes(reader.link(`${folder}/root`)));
    if (root === undefined || roots.has(`${namespace} ${root}`)) continue;
    // The mount table of a process with another root (chroot(2)) shows only the mounts below this root.
    const known = found.get(namespace) ?? { pid, lines: new Map<number, Line>() };
    if (unlessSystemError(() => addTable(known.lines, folder, root)) === undefined) continue;
    roots.add(`${namespace} ${root}`);
    found.set(namespace, known);
  }
  const named = new Map<string, Namespace>();
  for (const [namespace, { pid, lines }] of found) {
    const own = namespace === ownName;
    const who = own ? 'this process' : describe(reader, pid);
    const table = tableOf([...lines.values()], region);
    named.set(namespace, { ...table, own, pid, name: nameOf(reader, pid), who });
  }
  const all = [...named.values()] as [Namespace, ...Namespace[]];
  const links = [...found.values()].flatMap(({ lines }) =>
    [...lines.values()].filter(({ root }) => root.startsWith('mnt:[') && !found.has(root)),
  );
  return {
    ...{ region, all, own: all[0], named, ids },
    byId: new Map(all.flatMap(({ mounts }) => mounts.map((mount) => [mount.id, mount]))),
    kept: [...new Set(links.map(({ target }) => target))],
  };
}

/** Yields one thread for each mount namespace of each process. */
function* threads(reader: SystemReader): Generator<{ folder: string; pid: number; namespace: string }> {
  for (const pid of reader.processes.list()) {
    const seen = new Set<string>();
    const tasks = unlessSystemError(() => reader.list(`/proc/${pid}/task`)) ?? [String(pid)];
    for (const task of tasks) {
      const folder = task === String(pid) ? `/proc/${pid}` : `/proc/${pid}/task/${task}`;
      const namespace = unlessSystemError(() => reader.link(`${folder}/ns/mnt`));
      if (namespace === undefined || seen.has(namespace)) continue;
      seen.add(namespace);
      yield { folder, pid, namespace };
    }
  }
}

interface Line extends RegionMount {
  parent: number;
  device: string;
  type: string;
  source: string;
  superOptions: string;
}

/**
 * Parses a mount table (proc_pid_mountinfo(5)) in time linear in its length.
 * @param prefix the root directory of the process whose table this is, as a path from the root of its mount namespace
 */
export function parseMounts(text: string, prefix: string): Line[] {
  return text.split('\n').flatMap((line): Line[] => {
    const fields = line.split(' ');
    const hyphen = fields.indexOf('-', 6);
    const [id, parent, device = '', root = '', target = '', options = ''] = fields;
    if (hyphen < 0) return [];
    const [type = '', source = '', superOptions = ''] = fields.slice(hyphen + 1);
    const tags = fields.slice(6, hyphen);
    const tag = (name: string) => tags.find((each) => each.startsWith(name))?.slice(name.length);
    return [
      {
        ...{ id: Number(id), parent: Number(parent), device, root: unescapeOctal(root) },
        target: joinPath(prefix, unescapeOctal(target)),
        writable: ![options, superOptions].some((list) => list.split(',').includes('ro')),
        ...{ shared: tag('shared:'), master: tag('master:'), type, source, superOptions },
      },
    ];
  });
}

/** @param lines one line for each mount */
export function tableOf(lines: readonly Line[], { devices }: Region): Table {
  const mounts = lines.filter(({ device }) => devices.has(device));
  const ids = new Set(mounts.map(({ id }) => id));
  const covering = lines.filter(({ parent }) => ids.has(parent));
  return {
    mounts,
    byTarget: Map.groupBy(mounts, ({ target }) => target),
    covers: new Set(covering.map(({ parent, target }) => `${parent} ${target}`)),
    backed: lines.flatMap((line) => (ids.has(line.id) ? [] : backingOf(line))),
  };
}

const overlayKeys = ['lowerdir', 'lowerdir+', 'datadir+', 'upperdir', 'workdir'];

/**
 * Returns the directories that a mount uses: those in the options of overlayfs
 * (Documentation/filesystems/overlayfs.rst), or the source of eCryptfs and other file systems whose source is a
 * directory.
 */
function backingOf({ type, target, source, superOptions }: Line): Table['backed'][number][] {
  if (type === 'overlay') {
    const options = superOptions.split(',').map((option) => [option, option.indexOf('=')] as const);
    return options
      .filter(([option, at]) => overlayKeys.includes(option.slice(0, at)))
      .flatMap(([option, at]) => unescapeOctal(option.slice(at + 1)).split(/(?<!\\):+/))
      .map((path) => ({ type, target, path: path.replaceAll('\\:', ':') }));
  }
  if (!source.startsWith('/') || source.startsWith('/dev/')) return [];
  return [{ type, target, path: unescapeOctal(source) }];
}

/**
 * Resolves a path of a namespace to paths from the root of the region's file system, by the mounts of this file system
 * nearest to the path. Hidden mounts are included, because a process may have opened the path before the mount was
 * hidden.
 */
export function placesOf(table: Table, path: string): string[] {
  return nearest(table, path, () => true);
}

/** Resolves a path like `placesOf`, but without mounts that another mount hides. */
export function visiblePlacesOf(table: Table, path: string): string[] {
  const { covers } = table;
  return nearest(table, path, ({ id }, way) => !way.some((target) => covers.has(`${id} ${target}`)));
}

function nearest(
  { byTarget }: Table,
  path: string,
  leads: (mount: RegionMount, way: readonly string[]) => boolean,
): string[] {
  const way: string[] = [];
  for (let target = path; ; target = target.slice(0, target.lastIndexOf('/')) || '/') {
    way.push(target);
    const mounts = (byTarget.get(target) ?? []).filter((mount) => leads(mount, way));
    if (mounts.length > 0) return mounts.map(({ root }) => joinPath(root, path.slice(target.length)));
    if (target === '/' || target === '') return [];
  }
}

/** Returns the name of a process (proc_pid_comm(5)). */
export function nameOf(reader: SystemReader, pid: number): string {
  return unlessSystemError(() => reader.read(`/proc/${pid}/comm`).trim()) ?? '?';
}

/** Describes a process by its name, PID and systemd unit. */
function describe(reader: SystemReader, pid: number): string {
  const unit = unitOf(reader, pid);
  return `${nameOf(reader, pid)} (process ${pid}${unit === undefined ? '' : `, of ${unit}`})`;
}

export function unitOf(reader: SystemReader, pid: number): string | undefined {
  const unit = systemUnitOf(unlessSystemError(() => reader.read(`/proc/${pid}/cgroup`, 65536)) ?? '');
  return unit.endsWith('.service') ? unit : undefined;
}
