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
 * @throws Error naming the line that is not of the form; an empty text is one (every process has a root mount)
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
 * Optional fields (shared:N, master:N, …) stand between the options and a lone hyphen. Only a space separates:
 * a byte that JavaScript takes for white space (a carriage return, or one of UTF-8's) may be part of a name.
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

/** Thousands of mounts have the same few lists of options. */
function splitter(): (list: string) => string[] {
  const known = new Map<string, string[]>();
  return (list) => {
    const before = known.get(list);
    if (before !== undefined) return before;
    const options = list.split(',').map(unescapeOctal);
    known.set(list, options);
    return options;
  };
}

export interface MountTable {
  readonly all: readonly Mount[];
  /** All that have a path as their mount point, hidden ones too. */
  at(target: string): readonly Mount[];
  /** Those of them that no path leads to. */
  readonly hidden: ReadonlySet<Mount>;
  /**
   * The mount that serves a path in this process's view: the way that the kernel walks it, so that a mount
   * which another one covers is not taken for the visible one (path_resolution(7), fs/namespace.c). A mount on
   * "/" itself is not seen by a process that began below it: the way begins in the process's root.
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
      const next = current && nextOnWay(children.get(current.id), path);
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

/** A table that nobody could read: whoever asks it gets the reason. */
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

/** By the mount that each is on, by mount point; of two on the same, the later one is seen. */
function childrenOf(mounts: readonly Mount[]): Map<number, Map<string, Mount>> {
  const children = new Map<number, Map<string, Mount>>();
  for (const mount of mounts) {
    // Nothing is seen on "/" itself by a process that began below it; the first of all is on itself.
    if (mount.target === '/' || mount.id === mount.parent) continue;
    const siblings = children.get(mount.parent);
    if (siblings === undefined) children.set(mount.parent, new Map([[mount.target, mount]]));
    else siblings.set(mount.target, mount);
  }
  return children;
}

/** Of the mounts on one: that on its own root, else the first mount point on the way to the path. */
function nextOnWay(children: ReadonlyMap<string, Mount> | undefined, path: string): Mount | undefined {
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
