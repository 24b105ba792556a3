import {
  nameInStore,
  parsePathRecord,
  scratchDisk,
  scratchRecords,
  scratchStates,
} from '../../agent/facts/boot/kept-paths.ts';
import { directoriesOf } from '../../agent/facts/boot/layer-paths.ts';
import { servingMount } from '../../agent/facts/mounts/mount-table.ts';
import { onFile, unlessSystemError } from '../../agent/lib/errors.ts';
import { baseName, parentOf } from '../../agent/lib/paths.ts';
import { bootState, mountAt } from '../guest/boot-state.ts';
import { uptime } from '../guest/command.ts';
import { type Guest, withMountsOfNow } from '../guest/guest.ts';
import { describe, makeDirectories, openIn, reopen, using } from '../native/directories.ts';
import { firstLine, runIn } from '../native/programs.ts';
import { refusalOf, refuse, unlessRefused, type Refusal } from '../native/refusal.ts';
import { restoreTop } from '../persist/copy.ts';
import { checkExists, checkOrigin, readOnlyFlags } from '../persist/origin.ts';
import { bindOver, mountFlags, mountLike } from '../persist/persist.ts';
import { type PersistItem, fstabRefusal, itemsOf, pathRefusal, scratchRefusal } from '../persist/rules.ts';
import { findRoot } from '../persist/store.ts';
import { readDeviceRecord } from './device.ts';

/** The limit for all copies of the option copy together, in seconds. */
const copySeconds = 300;

type State = (typeof scratchStates)[number];
type Outcome = Refusal & { state: State };

const good: Refusal = { reason: '', remedy: '' };

/**
 * Mounts the paths of SCRATCH from the file system that openScratch has made. A path whose device cannot be used is in memory, with
 * the limits of /var; with the option required, it is read-only. Records the outcome for each path.
 * @returns whether each path is writable
 */
export function mountPaths(guest: Guest): boolean {
  const { native } = guest;
  if (bootState(guest.reader, guest.mounts, guest.config).mode !== 'sealed') return true;
  const device = deviceProblem(guest);
  // So that users reach the content only by its paths, where the permissions of the directories above apply.
  if (device === undefined)
    using(native, reopen(native, scratchDisk), (directory) => native.setOwner(directory, 0, 0, 0o700));
  const copyEnd = uptime(guest.reader) + copySeconds;
  const items = itemsOf(guest.config.SCRATCH);
  // Copies take time.
  const isCopied = ({ options }: PersistItem) => options.includes('copy');
  const ordered = [...items.filter((item) => !isCopied(item)), ...items.filter(isCopied)];
  const outcomes = ordered.map((item) => {
    const outcome = mountPath(guest, item, device, copyEnd);
    record(guest, item.path, outcome);
    return outcome;
  });
  return outcomes.every(({ state }) => state === 'disk' || state === 'memory');
}

/** Returns why the file system of the device cannot be used; undefined if it can. */
function deviceProblem(guest: Guest): Refusal | undefined {
  const { state, reason, remedy } = readDeviceRecord(guest);
  if (state === 'ready' && mountAt(guest.mounts, scratchDisk) !== undefined) return undefined;
  if (reason !== '') return { reason, remedy };
  return {
    reason: 'SCRATCH_DEVICE was not ready in time',
    remedy: 'See the journal of immutafs-scratch-device.service.',
  };
}

function mountPath(guest: Guest, item: PersistItem, device: Refusal | undefined, copyEnd: number): Outcome {
  const { path } = item;
  const earlier = readEarlier(guest, path);
  // It is still mounted, because a process that survived the soft reboot uses it.
  if (mountAt(guest.mounts, path) !== undefined && earlier !== undefined && earlier.state !== 'failed')
    return earlier;
  let origin = '';
  const refused = refusalOf(() => {
    origin = findOrigin(guest, path);
  });
  if (refused !== undefined) return { state: 'failed', ...explain(refused) };
  const now = { ...item, origin };
  const problem =
    earlier?.state === 'memory' ? earlier : (device ?? mountFromDevice(guest, now, earlier, copyEnd));
  return problem === undefined ? { state: 'disk', ...good } : provideElsewhere(guest, now, explain(problem));
}

function explain({ reason, remedy }: Refusal): Refusal {
  return { reason, remedy };
}

/** Returns the outcome before a soft reboot, which keeps the records; undefined if there was none. */
function readEarlier({ reader }: Guest, path: string): Outcome | undefined {
  const text = unlessSystemError(() => reader.readIfPresent(`${scratchRecords}/${nameInStore(path)}`));
  return parsePathRecord(text ?? '', scratchStates);
}

/** A path, with the system disk's own directory of it: in a sealed boot, that of the lower layer, without what this boot has written. */
interface Path extends PersistItem {
  origin: string;
}

/** @throws Refused for a path that cannot be provided */
function findOrigin(guest: Guest, path: string): string {
  unlessRefused(pathRefusal('SCRATCH', path));
  unlessRefused(fstabRefusal(guest.reader, 'SCRATCH', guest.fstab, path));
  unlessRefused(scratchRefusal(guest.config, path));
  const origin = checkOrigin(guest, path, { root: findRoot(guest), store: undefined, isNew: false });
  checkExists(guest, path, origin);
  return origin.path;
}

// --- on the device -----------------------------------------------------------------------------------------------

/** @returns why the path cannot be mounted from the device; undefined if it is mounted */
function mountFromDevice(
  guest: Guest,
  path: Path,
  earlier: Outcome | undefined,
  copyEnd: number,
): Refusal | undefined {
  const { native } = guest;
  const layer = `${scratchDisk}/${nameInStore(path.path)}`;
  return refusalOf(() => {
    const isCopied = path.options.includes('copy');
    if (!isCopied && !path.options.includes('empty')) {
      mountOverlay(guest, path, layer);
      return;
    }
    makeOwn(guest, layer);
    using(native, reopen(native, path.origin), (origin) => {
      const data = `${layer}/data`;
      const hasData = earlier?.state === 'disk' && exists(guest, data);
      makeLike(guest, data, origin);
      if (isCopied && !hasData) {
        copy(guest, origin, data, copyEnd);
        makeLike(guest, data, origin);
      }
      using(native, reopen(native, data), (directory) =>
        mountLike(guest, { ...path, shown: data }, directory, origin),
      );
    });
  });
}

function copy({ native, reader }: Guest, origin: number, data: string, end: number): void {
  const seconds = Math.max(1, end - uptime(reader));
  const ended = runIn(native, origin, seconds, 'cp', '-aTx', '.', data);
  if (ended.code !== 0)
    refuse(
      `cp failed, or the copies took more than ${copySeconds} s: ${firstLine(ended)}`,
      'See dmesg, or omit copy.',
    );
}

/**
 * Mounts an overlay on a path. `changes` and `foreign-programs` read the lower layer, so it is also mounted at another path. For a
 * path below another overlay, the boot has already done that.
 * @param layer the directory of the upper layer
 */
function mountOverlay(guest: Guest, { path, origin, options }: Path, layer: string): void {
  const { native } = guest;
  const lower = origin === path ? directoriesOf(path).lower : origin;
  if (origin === path && mountAt(withMountsOfNow(guest).mounts, lower) === undefined) {
    makeOwn(guest, parentOf(lower));
    makeOwn(guest, lower);
    using(native, reopen(native, origin), (directory) => bindOver(guest, lower, directory, readOnlyFlags));
  }
  makeOwn(guest, layer);
  using(native, reopen(native, origin), (directory) => makeLike(guest, `${layer}/upper`, directory));
  makeOwn(guest, `${layer}/work`);
  const layers = `lowerdir=${lower},upperdir=${layer}/upper,workdir=${layer}/work`;
  using(native, reopen(native, path), (target) =>
    onFile(path, () => native.mountAt(target, 'immutafs', 'overlay', mountFlags(options), layers)),
  );
}

// --- elsewhere ---------------------------------------------------------------------------------------------------

/** Provides a path without the device. @param why it is not on the device */
function provideElsewhere(guest: Guest, path: Path, why: Refusal): Outcome {
  const isRequired = path.options.includes('required');
  const failed = refusalOf(() => (isRequired ? showReadOnly(guest, path) : provideInMemory(guest, path)));
  if (failed !== undefined) return { state: 'failed', ...failed };
  return { state: isRequired ? 'read-only' : 'memory', ...why };
}

function showReadOnly(guest: Guest, { path, origin }: Path): void {
  const { native } = guest;
  using(native, reopen(native, origin), (directory) => bindOver(guest, path, directory, readOnlyFlags));
}

function provideInMemory(guest: Guest, path: Path): void {
  if (isInMemory(guest, path.path)) return;
  const layer = parentOf(directoriesOf(path.path).upper);
  makeOwn(guest, parentOf(layer));
  mountOverlay(guest, path, layer);
}

/** Whether a path is in memory already: on the writable overlay of /var. */
function isInMemory(guest: Guest, path: string): boolean {
  if (!path.startsWith('/var/')) return false;
  const { options, superOptions } = servingMount(withMountsOfNow(guest).table, path);
  return ![...options, ...superOptions].includes('ro');
}

// --- directories -------------------------------------------------------------------------------------------------

function exists({ native }: Guest, path: string): boolean {
  return using(
    native,
    reopen(native, parentOf(path)),
    (above) => describe(native, above, baseName(path)) !== undefined,
  );
}

/** Makes a directory, unless it exists. @returns the open directory */
function make({ native }: Guest, path: string): number {
  return using(native, reopen(native, parentOf(path)), (above) => {
    const name = baseName(path);
    if (describe(native, above, name) === undefined)
      onFile(path, () => native.makeDirectoryAt(above, name, 0o700));
    return openIn(native, above, name, path) ?? refuse(`${path} does not exist`, 'See dmesg.');
  });
}

/** Makes a directory of root, unless it exists. */
function makeOwn(guest: Guest, path: string): void {
  const { native } = guest;
  using(native, make(guest, path), (directory) =>
    onFile(path, () => native.setOwner(directory, 0, 0, 0o755)),
  );
}

/** Makes a directory, unless it exists, and gives it the owner, mode, SELinux label and access control lists of another one. */
function makeLike(guest: Guest, path: string, model: number): void {
  using(guest.native, make(guest, path), (directory) => restoreTop(guest, directory, model, path));
}

// --- the record --------------------------------------------------------------------------------------------------

/** Records the outcome, and logs it if the path is not as configured. */
function record({ native }: Guest, path: string, { state, reason, remedy }: Outcome): void {
  makeDirectories(native, scratchRecords);
  const file = `${scratchRecords}/${nameInStore(path)}`;
  const line = (text: string) => text.replaceAll('\n', ' ');
  onFile(file, () => native.write(file, `STATE=${state}\nREASON=${line(reason)}\nREMEDY=${line(remedy)}\n`));
  if (reason !== '') native.print(2, `immutafs: ${path} of SCRATCH is ${state}: ${reason}. ${remedy}\n`);
}
