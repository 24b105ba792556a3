import path from 'node:path';
import { isMountedIn, mountOptions, nameInStore } from '../facts/boot/kept-paths.ts';
import type { PersistEntry } from '../facts/boot/persist.ts';
import type { Facts } from '../facts/facts.ts';
import type { Mount, MountTable } from '../facts/mounts/mountinfo.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import type { DecidedMode } from './mode.ts';

/** Whether a path of PERSIST is kept now. */
export interface Persisted {
  path: string;
  /** `inactive`: a path with autostart, which this boot does not mount because the system disk is writable. */
  state: 'kept' | 'failed' | 'inactive';
  /** The directory in the store; empty if PERSIST_STORE is empty. */
  source: string;
  /** The options of the path in PERSIST. */
  options: string[];
  /** Why the path is not kept or not mounted; for a path that is kept, what the boot corrected, or empty. */
  reason: string;
  /** The instruction to fix the problem; empty for a path that is kept or inactive. */
  remedy: string;
}

/**
 * Compares the mount table with PERSIST. The records of the boot only explain why a path is not kept.
 * @returns an empty list in the mode off, in which nothing is kept
 * @throws SystemError if the mounts cannot be read
 */
export function findPersisted(
  { config, persist, mounts }: Pick<Facts, 'config' | 'persist' | 'mounts'>,
  mode: Pick<DecidedMode, 'mode' | 'rehearsal'>,
): Persisted[] {
  if (mode.mode === 'off') return [];
  const store = config.PERSIST_STORE;
  return persist.map((entry) => {
    const source = store === '' ? '' : `${store}/${nameInStore(entry.path)}`;
    return {
      path: entry.path,
      source,
      options: entry.options,
      ...persistedState(entry, source, mounts, isMountedIn(entry.options, mode)),
    };
  });
}

type State = Pick<Persisted, 'state' | 'reason' | 'remedy'>;

function failed(reason: string, remedy: string): State {
  return { state: 'failed', reason, remedy };
}

function persistedState(entry: PersistEntry, source: string, mounts: MountTable, isExpected: boolean): State {
  const mount = mounts.serving(entry.path);
  if (!isExpected) return notExpected(entry, mount);
  if (mount?.target !== entry.path) return notMounted(entry);
  if (source === '' || !showsSource(mount, source, mounts)) {
    const { record } = entry;
    // The boot has found the other mount, too, and has recorded what to do.
    if (valueOf(record)?.state === 'failed') return notMounted(entry);
    const reason = `${mount.type} (${mount.source}) is mounted there, not ${source || 'a directory of PERSIST_STORE'}`;
    return failed(reason, 'Find out which process mounted it, and reboot.');
  }
  const wanted = mountOptions(entry.options);
  const lacking = wanted.filter((option) => !mount.options.includes(option));
  if (lacking.length > 0) {
    return failed(
      `mounted without ${lacking.join(',')}`,
      `Run \`mount -o remount,bind,${wanted.join(',')} ${source} ${entry.path}\`.`,
    );
  }
  const note = valueOf(entry.record)?.reason;
  return { state: 'kept', reason: note ?? '', remedy: '' };
}

/** Whether a mount shows the directory `source` of the file system that serves the path `source`. */
function showsSource({ device, root }: Mount, source: string, mounts: MountTable): boolean {
  const below = mounts.serving(source);
  if (below === undefined || below.target === '/') return false;
  return device === below.device && root === path.join(below.root, path.relative(below.target, source));
}

/** Returns the state of a path that this boot must not mount, because the system disk is writable. */
function notExpected(entry: PersistEntry, mount: Mount | undefined): State {
  if (mount?.target !== entry.path) {
    const reason =
      'the system disk is writable, so a path with autostart is not mounted; the content of the disk is visible';
    // A path that the configuration does not permit is not mounted in a sealed boot either.
    return unwrap(entry.record)?.state === 'failed'
      ? notMounted(entry)
      : { state: 'inactive', reason, remedy: '' };
  }
  return failed(
    `${mount.type} (${mount.source}) is mounted there although programs may be started from it and the system disk is writable`,
    `Run \`umount ${entry.path}\`. To have it mounted in maintenance boots, add maintenance to its options in PERSIST.`,
  );
}

function notMounted({ record: observed }: PersistEntry): State {
  const record = unwrap(observed);
  if (record === undefined) {
    const remedy = "Reboot. If that does not help, see systemctl status 'immutafs-persist*'.";
    return failed('the boot did not try to keep it', remedy);
  }
  switch (record.state) {
    case 'failed':
      return failed(record.reason, record.remedy);
    case 'begun':
      return failed(
        'keeping it was begun and not finished',
        "See journalctl -b -u 'immutafs-persist@*', and reboot.",
      );
    case 'kept':
      return failed('it is no longer mounted', 'Find out why it was unmounted, and reboot.');
  }
}
