import { unescapeOctal } from '../../lib/format.ts';
import { findHidden } from './visibility.ts';

/** A line of /proc/self/mountinfo (proc_pid_mountinfo(5)), escapes resolved. */
export interface Mount {
  id: number;
  parent: number;
  /** "major:minor" of the file system's device. */
  device: string;
  /** The part of the file system that is mounted: "/" unless it is a bind mount or a subvolume. */
  root: string;
  target: string;
  /** This mount's own options: ro, nosuid, … */
  options: string[];
  type: string;
  source: string;
  /** The file system's options. */
  superOptions: string[];
}

/**
 * @param text one character a byte, as SystemReader.read gives it
 * @throws Error naming the malformed line; also for an empty text, since every process has a root mount
 */
export function parseMountinfo(text: string): Mount[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) throw new Error('mountinfo is empty');
  const options = splitter();
  return lines.map((line, index) => {
    const mount = parseLine(line, options);
    if (mount === undefined) throw new Error(`mountinfo line ${index + 1} is malformed`);
    return mount;
  });
}

/**
 * Optional fields (shared:N, master:N, …) are between the options and a single hyphen. Only a space separates fields:
 * other bytes that are white space to JavaScript (a carriage return, or a byte of UTF-8) may be part of a name.
 */
const form =
  /^(\d{1,10}) (\d{1,10}) (\d{1,10}:\d{1,10}) ([^ ]+) (\/[^ ]*) ([^ ]+)(?: [^ -][^ ]*)* - ([^ ]+) ([^ ]*) ([^ ]+)$/s;

function parseLine(line: string, split: (list: string) => string[]): Mount | undefined {
  const found = form.exec(line);
  if (found === null) return undefined;
  const [, id = '', parent = '', device = '', root = '', target = '', options = ''] = found;
  const [type = '', source = '', superOptions = ''] = found.slice(7);
  return {
    id: Number(id),
    parent: Number(parent),
    device,
    root: unescapeOctal(root),
    target: unescapeOctal(target),
    options: split(options),
    type: unescapeOctal(type),
    source: unescapeOctal(source),
    superOptions: split(superOptions),
  };
}

/** Splits equal lists once: thousands of mounts may have the same options. */
function splitter(): (list: string) => string[] {
  const known = new Map<string, string[]>();
  return (list) => {
    const cached = known.get(list);
    if (cached !== undefined) return cached;
    const options = list.split(',').map(unescapeOctal);
    known.set(list, options);
    return options;
  };
}

export interface MountTable {
  readonly all: readonly Mount[];
  /** All mounts at a mount point, hidden ones too. */
  at(target: string): readonly Mount[];
  /** The mounts that no path leads to. */
  readonly hidden: ReadonlySet<Mount>;
  /**
   * The mount that serves a path in this process's view. It follows the path as the kernel does, so that a covered
   * mount is not taken for the visible one (path_resolution(7), fs/namespace.c). The path begins at the process's
   * root, so a later mount on "/" itself is not visible.
   * @param path absolute, normalised, without symbolic links
   */
  serving(path: string): Mount | undefined;
}

/** @param text as parseMountinfo takes it, with its errors */
export function mountTable(text: string): MountTable {
  const all = parseMountinfo(text);
  const children = childrenOf(all);
  const root = rootMount(all);
  const byTarget = Map.groupBy(all, ({ target }) => target);
  const served = new Map<string, Mount | undefined>();
  let hidden: ReadonlySet<Mount> | undefined;
  const servingMount = (path: string) => {
    let current = root;
    for (let steps = 0; steps <= all.length; steps++) {
      const next = current && nextOnPath(children.get(current.id), path);
      if (next === undefined) return current;
      current = next;
    }
    throw new Error('mountinfo is not a tree');
  };
  return {
    all,
    at: (target) => byTarget.get(target) ?? [],
    get hidden() {
      return (hidden ??= findHidden(all, root));
    },
    serving: (path) => {
      if (!served.has(path)) served.set(path, servingMount(path));
      return served.get(path);
    },
  };
}

/** A table that could not be read: each access throws the reason. */
export function unreadableTable(error: Error): MountTable {
  const fail = () => {
    throw error;
  };
  return Object.defineProperties({ serving: fail, at: fail } as unknown as MountTable, {
    all: { get: fail },
    hidden: { get: fail },
  });
}

/** The first mount at "/" whose parent is not in the list (or itself). */
function rootMount(mounts: readonly Mount[]): Mount | undefined {
  const ids = new Set(mounts.map(({ id }) => id));
  return mounts.find(({ id, parent, target }) => target === '/' && (parent === id || !ids.has(parent)));
}

/** The visible mount by its parent's id and its mount point: of two at the same mount point, the later one. */
function childrenOf(mounts: readonly Mount[]): Map<number, Map<string, Mount>> {
  const children = new Map<number, Map<string, Mount>>();
  for (const mount of mounts) {
    // A mount on "/" is not visible to a process whose root is below; the first mount of all is its own parent.
    if (mount.target === '/' || mount.id === mount.parent) continue;
    const siblings = children.get(mount.parent);
    if (siblings === undefined) children.set(mount.parent, new Map([[mount.target, mount]]));
    else siblings.set(mount.target, mount);
  }
  return children;
}

/** The first of a mount's children on the path. */
function nextOnPath(children: ReadonlyMap<string, Mount> | undefined, path: string): Mount | undefined {
  if (children === undefined) return undefined;
  for (let end = path.indexOf('/', 1); end !== -1; end = path.indexOf('/', end + 1)) {
    const found = children.get(path.slice(0, end));
    if (found !== undefined) return found;
  }
  return children.get(path);
}

/** Whether a path is a folder or below it. */
export function isBelow(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`);
}
