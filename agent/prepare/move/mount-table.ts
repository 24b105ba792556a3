import { unescapeOctal } from '../../lib/format.ts';
import { type Region, joinPath } from './region.ts';

/** A mount of the region's file system. */
export interface RegionMount {
  id: number;
  /** The directory of the file system that is mounted. */
  root: string;
  /** The mount point, from the root of the namespace. */
  target: string;
  writable: boolean;
  /** The peer group of the mount, and the peer group from which it receives mounts (mount_namespaces(7)). */
  shared: string | undefined;
  master: string | undefined;
}

/** The part of a mount table that concerns a region. */
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

interface Parsed extends Table {
  ids: readonly number[];
  /** Bind mounts of mount namespaces ("mnt:[4026532181]"). */
  namespaces: readonly { namespace: string; target: string }[];
}

interface Line extends RegionMount {
  parent: string;
  device: string;
  type: string;
  source: string;
  superOptions: string;
}

/**
 * Parses a mount table (proc_pid_mountinfo(5)) in time linear in its length.
 * @param prefix the root directory of the process whose table this is, as a path from the root of its mount namespace
 */
export function parseTable(text: string, { devices }: Region, prefix: string): Parsed {
  const ids: number[] = [];
  const mounts: RegionMount[] = [];
  const backed: Table['backed'][number][] = [];
  const namespaces: Parsed['namespaces'][number][] = [];
  const own = new Set<string>();
  const lines = text.split('\n').flatMap((line) => parseLine(line, prefix) ?? []);
  for (const line of lines) {
    ids.push(line.id);
    if (devices.has(line.device)) {
      own.add(String(line.id));
      mounts.push(line);
    } else {
      backed.push(...backingOf(line));
    }
    if (line.root.startsWith('mnt:[')) namespaces.push({ namespace: line.root, target: line.target });
  }
  const covers = lines
    .filter(({ parent }) => own.has(parent))
    .map(({ parent, target }) => `${parent} ${target}`);
  return {
    ids,
    mounts,
    byTarget: Map.groupBy(mounts, ({ target }) => target),
    covers: new Set(covers),
    backed,
    namespaces,
  };
}

function parseLine(line: string, prefix: string): Line | undefined {
  const fields = line.split(' ');
  const hyphen = fields.indexOf('-', 6);
  const [id, parent = '', device = '', root = '', target = '', options = ''] = fields;
  if (hyphen < 0 || id === undefined) return undefined;
  const [type = '', source = '', superOptions = ''] = fields.slice(hyphen + 1);
  const tags = fields.slice(6, hyphen);
  const tag = (name: string) => tags.find((each) => each.startsWith(name))?.slice(name.length);
  return {
    id: Number(id),
    parent,
    device,
    root: unescapeOctal(root),
    target: joinPath(prefix, unescapeOctal(target)),
    writable: !hasReadOnly(options) && !hasReadOnly(superOptions),
    shared: tag('shared:'),
    master: tag('master:'),
    type,
    source,
    superOptions,
  };
}

function hasReadOnly(options: string): boolean {
  return options === 'ro' || options.startsWith('ro,') || options.endsWith(',ro') || options.includes(',ro,');
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
