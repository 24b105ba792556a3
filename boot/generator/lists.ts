/** The units of PERSIST and SCRATCH. The mount unit of each path lets systemd order the units that need the path. */
import { words } from '../../agent/config/boot-keys.ts';
import { isMountedIn } from '../../agent/facts/boot/kept-paths.ts';
import { escapePath } from '../guest/units.ts';
import { fstabRefusal, isLocal, itemsOf, pathRefusal, persistRefusal, storeLine } from '../persist/rules.ts';
import { type Guest, hasSystemUnit } from './guest.ts';
import { keepAtShutdown, writeFoundMount } from './unit-files.ts';

/**
 * immutafs-persist.service checks the store and the paths, and mounts the directories of the store. At the first use of a
 * path, or if a path cannot be kept, it leaves the path to immutafs-persist@.service. If the service fails, services with
 * RequiresMountsFor= use the path as it is without PERSIST.
 *
 * local-fs.target waits for the service and not for the mount units. systemd reads the mount table at most five times a
 * second, and if it changes more often, delays the start of every mount unit until the second is over (src/core/mount.c).
 */
export function addPersistUnits(guest: Guest): void {
  const { config, fstab, reader, state, units } = guest;
  if (state.mode === 'off') return;
  const { PERSIST_STORE: store } = config;
  const ofStore = storeLine(fstab, store);
  const isNetwork = ofStore !== undefined && !isLocal(fstab, ofStore);
  const items = itemsOf(config.PERSIST);
  const [mounted, names, kept, left] = [new Set<string>(), [] as string[], [] as string[], [] as string[]];
  for (const item of items) {
    const { path, options } = item;
    if (persistRefusal(reader, config, fstab, item) !== undefined) {
      // Without a mount unit, nothing waits for the service, which reports the reason.
      left.push(path);
      continue;
    }
    // It is not a failure that this boot does not mount the path: the content of the disk is visible there.
    if (!isMountedIn(options, state)) continue;
    names.push(writeFoundMount(units, path, ...ofService('immutafs-persist.service')));
    mounted.add(path);
    if (isNetwork) left.push(path);
    else kept.push(item.item);
  }
  if (kept.length + left.length === 0) return;
  // Waits until the mount of the store has succeeded or has failed, which it does if its device is not there in time
  // (x-systemd.device-timeout=, 90 seconds by default).
  const awaited = mountsAbove([...localStore(guest), ...items.map(({ path }) => directoryOf(path))], mounted);
  const target = ofStore?.target ?? '';
  const command = [
    `ExecStart=/usr/libexec/immutafs/immutafs-boot persist ${store || '-'} ${target === '' ? '-' : target}`,
    ...[...kept, ...(left.length === 0 ? [] : ['--', ...left])],
  ];
  units.dropin(
    'immutafs-persist.service',
    ...['[Service]', 'ExecStart=', command.join(' \\\n'), '[Unit]'],
    ...awaited.flatMap((unit) => waitFor(guest, unit)),
    // A restart of a mount mounts the directory of the store again.
    ...names.flatMap((unit) => [`Before=${unit}`, `PartOf=${unit}`]),
  );
  units.wanted.push('immutafs-persist.service');
}

/** Returns PERSIST_STORE, unless it is on the network. */
function localStore({ config: { PERSIST_STORE: store }, fstab }: Guest): string[] {
  const line = storeLine(fstab, store);
  return store === '' || (line !== undefined && !isLocal(fstab, line)) ? [] : [store];
}

/** Returns the mount units at and above PERSIST_STORE. */
export const mountsOfStore = (guest: Guest): string[] => mountsAbove(localStore(guest), new Set());

/**
 * Returns the lines that let a unit wait for a mount unit at or above the store or a path. The mount unit is pulled in if it is that
 * of the store or has a file: systemd 219 logs an error for every unit that is wanted and does not exist. Other mounts are mounted
 * at boot if local-fs.target wants them, as it does those of fstab.
 */
export function waitFor(guest: Guest, unit: string): string[] {
  const { config, fstab, reader } = guest;
  const target = storeLine(fstab, config.PERSIST_STORE)?.target;
  const exists =
    (target !== undefined && unit === `${escapePath(target)}.mount`) ||
    reader.status(`/etc/systemd/system/${unit}`) !== undefined ||
    hasSystemUnit(guest, unit);
  return [...(exists ? [`Wants=${unit}`] : []), `After=${unit}`];
}

const ofService = (service: string) => [`Wants=${service}`, `After=${service}`, 'Before=local-fs.target'];

/** Returns the directory above a path; empty for a path directly below /. */
function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

/**
 * Returns the mount units at and above paths, except for those that the service mounts itself. The service waits for them and
 * does not require them, because each path is independent of the others.
 */
function mountsAbove(paths: readonly string[], except: ReadonlySet<string>): string[] {
  const found = new Set<string>();
  for (const path of paths) {
    for (let end = path.indexOf('/', 1); path !== ''; end = path.indexOf('/', end + 1)) {
      const above = end === -1 ? path : path.slice(0, end);
      if (!except.has(above)) found.add(`${escapePath(above)}.mount`);
      if (end === -1) break;
    }
  }
  return [...found];
}

/**
 * immutafs-scratch-device.service makes the file system, and immutafs-scratch.service mounts the paths, or provides them in
 * memory.
 */
export function addScratchUnits(guest: Guest): void {
  const { config, fstab, reader, units } = guest;
  const items = itemsOf(config.SCRATCH);
  // Without a mount unit, nothing waits for the service, which reports the reason.
  const usable = items
    .map(({ path }) => path)
    .filter((path) => !(pathRefusal('SCRATCH', path) ?? fstabRefusal(reader, 'SCRATCH', fstab, path)));
  const names = usable.map((path) => writeFoundMount(units, path, ...ofService('immutafs-scratch.service')));
  const awaited = mountsAbove(
    items.map(({ path }) => directoryOf(path)),
    new Set(usable),
  );
  units.dropin(
    'immutafs-scratch.service',
    '[Unit]',
    ...awaited.map((unit) => `After=${unit}`),
    ...names.map((unit) => `Before=${unit}`),
  );
  units.wanted.push('immutafs-scratch.service');
  if (config.SCRATCH_DEVICE === '') return;
  // systemd does not know that the overlays use this mount.
  keepAtShutdown(units, '/run/immutafs/scratch-disk');
  const device = `${escapePath(config.SCRATCH_DEVICE)}.device`;
  units.dropin('immutafs-scratch-device.service', '[Unit]', `Wants=${device}`, `After=${device}`);
  // A disk that does not exist delays the boot for this time. For one that udev has not processed yet, scratch-open waits.
  units.dropin(device, '[Unit]', 'JobTimeoutSec=30');
  units.dropin('multi-user.target', '[Unit]', 'Wants=immutafs-scratch-trim.service');
  for (const target of words('poweroff reboot halt kexec'))
    units.dropin(`${target}.target`, '[Unit]', 'Wants=immutafs-scratch-discard.service');
}
