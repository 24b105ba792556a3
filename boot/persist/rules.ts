/** Rules for PERSIST that depend only on the configuration. Those of pathRefusal and fstabRefusal also apply to SCRATCH. */
import { itemOptions, pathOf, words } from '../../agent/config/boot-keys.ts';
import { isMountedIn } from '../../agent/facts/boot/kept-paths.ts';
import { placeOf, startPlaces } from '../../agent/facts/security/places.ts';
import { unescapeBytes } from '../../agent/lib/octal.ts';
import { isBelow } from '../../agent/lib/paths.ts';
import type { BootConfig } from '../guest/config.ts';
import { type FstabLine, hasOption } from '../guest/fstab.ts';
import type { List } from '../guest/guest.ts';
import { escapePath } from '../guest/units.ts';
import type { BootReader } from '../native/reader.ts';
import type { Refusal } from '../native/refusal.ts';

type Values = Pick<BootConfig['values'], 'OVERLAY' | 'PERSIST' | 'PERSIST_STORE'>;

/** An item of PERSIST, split. Of several items with the same path, the first one counts. */
export interface PersistItem {
  item: string;
  path: string;
  options: string[];
}

/** Splits the items of a list, without the later items of a path that is named before. */
export function itemsOf(list: string): PersistItem[] {
  const items = words(list).map((item) => ({ item, path: pathOf(item), options: itemOptions(item) }));
  return items.filter(({ path }, index) => items.findIndex((each) => each.path === path) === index);
}

/** Returns why a path of PERSIST cannot be kept according to the configuration; undefined if it can. */
export function persistRefusal(
  reader: BootReader,
  values: Values,
  fstab: readonly FstabLine[],
  item: PersistItem,
): Refusal | undefined {
  const { path } = item;
  return (
    pathRefusal('PERSIST', path) ??
    autostartRefusal(item) ??
    recordsRefusal(item) ??
    outerRefusal(values, item) ??
    overlayRefusal(values, path) ??
    storeRefusal(values, path) ??
    fstabRefusal(reader, 'PERSIST', fstab, path)
  );
}

/** Refuses paths that cannot be kept, and paths that decide how the guest boots. */
export function pathRefusal(list: List, path: string): Refusal | undefined {
  const isIn = (...directories: string[]) => directories.some((directory) => isBelow(path, directory));
  if (['/', '/etc', '/usr', '/var'].includes(path))
    return { reason: `${list} cannot name ${path} itself`, remedy: `In ${list}, name directories below it.` };
  const remedy = `Remove it from ${list}.`;
  if (isIn('/bin', '/sbin', '/lib', '/lib64'))
    return { reason: `${path} contains the programs of the system`, remedy };
  if (isIn('/boot', '/efi')) return { reason: `${path} determines the next boot`, remedy };
  if (isIn('/dev', '/proc', '/sys', '/run')) return { reason: `${path} is not on a disk`, remedy };
  if (isIn('/etc/immutafs', '/etc/selinux', '/etc/sysconfig', '/etc/lvm'))
    return { reason: `${path} configures this agent or the boot`, remedy };
  return undefined;
}

/**
 * Accepts a path without the option autostart only if it is known to be data: the nearest row at or above it in places.ts
 * says so, and no place from which programs start is below it.
 */
function autostartRefusal({ path, options }: PersistItem): Refusal | undefined {
  if (options.includes('autostart')) return undefined;
  const place = placeOf(path);
  const inner = startPlaces()
    .filter((each) => each.path.startsWith(`${path}/`))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))[0];
  if (place === 'data' && inner === undefined) return undefined;
  const unsafe = place === undefined || place === 'data' ? inner : place;
  const reason =
    unsafe === undefined
      ? `${path} is not known to be data, and programs may be started from it`
      : `${unsafe.path} is not only data: ${unsafe.why}`;
  const item = `${path}:${[...options, 'autostart'].join()}`;
  return {
    reason,
    remedy: `To keep it all the same, write ${item} in PERSIST. Root in an earlier boot may have written it.`,
  };
}

/** The records of `prepare`: its action log, and the moves (agent/facts/boot/moves.ts). */
const records = '/var/lib/immutafs';

/**
 * Refuses a path with the records of `prepare`, which must be the same in every maintenance boot: the boot that moves data mounts
 * nothing of PERSIST. A sealed boot does not use them.
 */
function recordsRefusal({ path, options }: PersistItem): Refusal | undefined {
  const reason = `the boot that moves data would not find what prepare has recorded in ${records}`;
  if (isBelow(path, records)) return { reason, remedy: 'Remove it from PERSIST.' };
  if (!isBelow(records, path) || !isMountedIn(options, { mode: 'maintenance' })) return undefined;
  return { reason, remedy: `In PERSIST, name the directories beside ${records}.` };
}

/**
 * Refuses a path that only a sealed boot mounts and that is below a kept path: in maintenance, the content that the outer
 * path has in the store would be visible there, and not that of the disk.
 */
function outerRefusal({ PERSIST }: Values, { path, options }: PersistItem): Refusal | undefined {
  if (options.includes('maintenance') || !options.includes('autostart')) return undefined;
  const outer = words(PERSIST)
    .map((item) => ({ path: pathOf(item), options: itemOptions(item) }))
    .find(
      (each) =>
        path.startsWith(`${each.path}/`) &&
        (each.options.includes('maintenance') || !each.options.includes('autostart')),
    );
  return (
    outer && {
      reason: `in maintenance, ${outer.path} would show what an earlier boot wrote to ${path}`,
      remedy: `In PERSIST, add autostart to the options of ${outer.path}, or maintenance to those of ${path}.`,
    }
  );
}

function overlayRefusal({ OVERLAY }: Values, path: string): Refusal | undefined {
  for (const other of words(OVERLAY).map(pathOf)) {
    if (other === path)
      return { reason: `${path} is also in OVERLAY`, remedy: 'Remove it from OVERLAY or from PERSIST.' };
    if (other.startsWith(`${path}/`)) {
      return {
        reason: `the overlay on ${other} is below it`,
        remedy: `In PERSIST, name the directories beside ${other}.`,
      };
    }
  }
  return undefined;
}

function storeRefusal({ PERSIST_STORE: store }: Values, path: string): Refusal | undefined {
  if (store === '') {
    return {
      reason: 'PERSIST_STORE is empty',
      remedy: 'Set PERSIST_STORE to a directory on a data disk that the host leaves writable.',
    };
  }
  if (isBelow(store, path))
    return { reason: `${path} contains PERSIST_STORE`, remedy: 'Name the directories beside it.' };
  if (isBelow(path, store))
    return { reason: `${path} is in PERSIST_STORE`, remedy: 'Remove it from PERSIST.' };
  return undefined;
}

/**
 * Refuses a path that another unit mounts, or below which fstab mounts a file system: systemd would mount that file
 * system on whatever an earlier boot has left at its mount point in the store.
 */
export function fstabRefusal(
  reader: BootReader,
  list: List,
  fstab: readonly FstabLine[],
  path: string,
): Refusal | undefined {
  const line = fstab.find(({ target }) => isBelow(target, path));
  if (line?.target === path) {
    return {
      reason: `/etc/fstab mounts a file system on ${path}`,
      remedy: `Remove it from ${list}, or its line from fstab.`,
    };
  }
  if (line !== undefined) {
    return {
      reason: `/etc/fstab mounts a file system on ${line.target}`,
      remedy: `In ${list}, name the directories of ${path} beside ${line.target}.`,
    };
  }
  const units = ['/etc/systemd/system', '/usr/lib/systemd/system'].map(
    (folder) => `${folder}/${escapePath(path)}.mount`,
  );
  const unit = units.find((file) => reader.stat(file) !== undefined);
  if (unit === undefined) return undefined;
  return {
    reason: `${unit} mounts a file system on ${path}`,
    remedy: `Remove it from ${list}, or remove the unit.`,
  };
}

/** Returns the line of fstab that mounts the file system of the store; undefined if there is none. */
export function storeLine(fstab: readonly FstabLine[], store: string): FstabLine | undefined {
  let found: FstabLine | undefined;
  for (const line of fstab)
    if (`${store}/`.startsWith(`${line.target}/`) && line.target.length >= (found?.target.length ?? 0))
      found = line;
  return found;
}

/** The file systems that a store can have: those of a single block device, with owners and modes. */
const localTypes = 'auto ext2 ext3 ext4 f2fs jfs reiserfs xfs btrfs'.split(' ');

/**
 * Whether systemd mounts the file system of the store before the network is up: it has a local type and a device, and not the option
 * _netdev (systemd.mount(5)). A bind mount depends on the line of its source.
 */
export function isLocal(fstab: readonly FstabLine[], line: FstabLine): boolean {
  if (hasOption(line, '_netdev')) return false;
  if (hasOption(line, 'bind', 'rbind')) {
    const source = unescapeBytes(line.source);
    const earlier = fstab.slice(0, fstab.indexOf(line));
    const below = storeLine(earlier, source);
    return source.startsWith('/') && (below === undefined || isLocal(earlier, below));
  }
  return line.isDevice && line.type.split(',').every((type) => localTypes.includes(type));
}

/** Refuses a store that is not known to be mounted before the services that use the directory. */
export function networkRefusal(fstab: readonly FstabLine[], store: string): Refusal | undefined {
  const line = storeLine(fstab, store);
  if (line === undefined || isLocal(fstab, line)) return undefined;
  return {
    reason: `${line.target} (${line.type || 'no type'}) may be mounted only when the network is up, after the services that use the directory`,
    remedy:
      'Put PERSIST_STORE on a local disk, with the type xfs or ext4 and without the option _netdev in /etc/fstab.',
  };
}

/** Refuses a path of SCRATCH at, above or below which the configuration has another path. */
export function scratchRefusal(
  { PERSIST, OVERLAY, SCRATCH }: Pick<BootConfig['values'], 'PERSIST' | 'OVERLAY' | 'SCRATCH'>,
  path: string,
): Refusal | undefined {
  const kept = [...words(PERSIST), ...words(OVERLAY)].map(pathOf);
  for (const other of [...kept, ...words(SCRATCH).map(pathOf)]) {
    if (other.startsWith(`${path}/`)) {
      const reason = `${other}, also in the configuration, is below it`;
      return { reason, remedy: `In SCRATCH, name the directories beside ${other}.` };
    }
    if (path.startsWith(`${other}/`))
      return { reason: `it is below ${other}, also in the configuration`, remedy: 'Remove one of them.' };
  }
  return kept.includes(path)
    ? { reason: 'PERSIST or OVERLAY names it, too', remedy: 'Remove it from one of them.' }
    : undefined;
}
