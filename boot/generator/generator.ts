/**
 * The generator of systemd, see systemd.generator(7).
 *
 * In maintenance mode, the file systems on the disks of the root that fstab mounts `ro` are mounted read-write.
 *
 * In a sealed boot, immutafs-var@.service runs just before systemd mounts a file system at or below /var. It also runs
 * for the root's own /var if the initramfs did not assemble it, and for each path of OVERLAY that the initramfs left to
 * late boot. immutafs-mount@.service runs before every other mount. A unit that needs the path (RequiresMountsFor=) waits
 * for the service and for the mount. If the service fails or does nothing, systemd mounts the file system as configured
 * in fstab. Swap on a disk of the root is not activated.
 */
import { namesTarget, splitKernelArguments } from '../../agent/facts/boot/kernel-arguments.ts';
import { moveMarker } from '../../agent/facts/boot/marker-files.ts';
import { unescapeBytes } from '../../agent/lib/octal.ts';
import { readCommandLine } from '../guest/boot-state.ts';
import { type FstabLine, disksOfSource, hasOption, isAutomount, sourceFile } from '../guest/fstab.ts';
import { escapePath, howVarIsMounted } from '../guest/units.ts';
import { moveRefused } from '../move/boot.ts';
import type { BootReader } from '../native/reader.ts';
import { type Guest, addServiceBeforeMount, isOnRootDisk, readGuest } from './guest.ts';
import { addPersistUnits, addScratchUnits } from './lists.ts';
import { addMountOptionUnits } from './mount-options.ts';
import { addOverlayMount, keepOrDeferOverlays } from './overlays.ts';
import {
  addForwardDropin,
  addIdentityUnits,
  addMoveUnits,
  addRehearsalUnits,
  disableRelabelling,
  leaveUnmountingToSystemd,
  maskCloudInit,
  maskProvisioning,
} from './services.ts';
import { type UnitFiles, keepAtShutdown, withoutSpecifiers } from './unit-files.ts';

/** Returns the units for this boot. @throws SystemError if something that decides is unknown */
export function generate(reader: BootReader): UnitFiles {
  const guest = readGuest(reader);
  const { config, state, units } = guest;
  const isSealed = state.mode === 'sealed';
  const moves = isSealed ? false : addMaintenanceUnits(guest);
  if (isSealed) addSealedUnits(guest);
  // LVM reads the file until the end of the shutdown, so unmounting the file earlier would fail.
  const lvmlocal = '/etc/lvm/lvmlocal.conf';
  if (guest.mountAt(lvmlocal) !== undefined) keepAtShutdown(units, lvmlocal);
  // A boot that moves data mounts nothing of PERSIST: what moves must not be in use.
  if (!moves && config.PERSIST !== '') addPersistUnits(guest);
  if (isSealed && config.SCRATCH !== '') addScratchUnits(guest);
  addForwardDropin(guest);
  return units;
}

// --- a sealed boot ------------------------------------------------------------------------------------------

function addSealedUnits(guest: Guest): void {
  const { state, units } = guest;
  if (state.rehearsal !== undefined) addRehearsalUnits(guest);
  disableRelabelling(guest);
  maskProvisioning(guest);
  if (guest.config.IDENTITY === 'host' && state.rehearsal === undefined) addIdentityUnits(guest);
  addMountOptionUnits(guest);
  leaveUnmountingToSystemd(guest);
  // Keep the mounts that the initramfs made, and with them the content of the layers, across a soft reboot, which does
  // not run the initramfs.
  keepAtShutdown(units, '/run/var');
  addVarUnits(guest);
  const late = keepOrDeferOverlays(guest);
  addServicesOfFstab(guest, late);
  for (const path of late) addOverlayMount(guest, path);
}

function addVarUnits(guest: Guest): void {
  const { units } = guest;
  const mount = guest.mountAt('/var');
  const { by: how } = howVarIsMounted(guest.reader, guest.fstab);
  if (mount?.type === 'overlay') {
    // A /var in fstab is unmounted at shutdown; after a soft reboot, its service mounts it again. journald writes to
    // /var until the end of the shutdown, so unmounting /var earlier would fail.
    if (how === 'own') for (const path of ['/var', '/run/immutafs/lower']) keepAtShutdown(units, path);
    return;
  }
  if (mount !== undefined) return;
  // /var is not mounted, so the hook of the initramfs did not run.
  if (how === 'own') addVarMount(units);
  // If another file mounts /var, the service reports that it cannot mount an overlay.
  if (how !== 'device') addServiceBeforeMount(guest, 'var', '/var');
}

/**
 * Adds a bind mount of /var on itself. The mount changes nothing, but units that need /var wait for it and so for the
 * service. The boot continues if this mount fails or if an administrator has masked var.mount.
 */
function addVarMount(units: UnitFiles): void {
  const mount = ['[Mount]', 'What=/var', 'Where=/var', 'Type=none', 'Options=bind'];
  units.file('var.mount', '[Unit]', 'Before=local-fs.target', ...mount);
  units.wanted.push('var.mount', 'immutafs-var@var.service');
}

/** @param late the paths that can get an overlay in late boot; those that fstab mounts are removed */
function addServicesOfFstab(guest: Guest, late: Set<string>): void {
  for (const line of guest.fstab) {
    const { source, target, type, isDevice } = line;
    // systemd ignores a line with another target.
    if (!isDevice || (type !== 'swap' && !target.startsWith('/'))) continue;
    mountFromSealedDevice(guest, line);
    const isAuto = isAutomount(line);
    // With an automount, noauto has no effect (systemd.mount(5)).
    if (!isAuto && hasOption(line, 'noauto') && target !== '/var') continue;
    if (late.delete(target) || (type !== 'swap' && (target === '/var' || target.startsWith('/var/')))) {
      addServiceBeforeMount(guest, 'var', target, sourceFile(guest.reader, source).file);
      if (isAuto) replaceAutomount(guest, line);
    } else if (type === 'swap') {
      maskSwap(guest, source);
    } else if (/^(?:xfs|ext[34])$/.test(type) && target !== '/' && guest.mountAt(target) === undefined) {
      const found = disksOfSource(guest.reader, source);
      if (found === undefined || found.state !== 'writable')
        addServiceBeforeMount(guest, 'mount', target, sourceFile(guest.reader, source).file);
    }
  }
}

/**
 * Makes systemd mount a file system from the sealed device, because the usual udev link may point to a copy on another
 * device. The unit of a file system that the initramfs has mounted is not changed, so that it keeps the device name that
 * systemd knows.
 */
function mountFromSealedDevice({ reader, mountAt, units }: Guest, { source, target, type }: FstabLine): void {
  if (type === 'swap' || target === '/') return;
  const { file, sealedLink } = sourceFile(reader, source);
  if (sealedLink === undefined || mountAt(target) !== undefined) return;
  units.dropin(`${escapePath(target)}.mount`, '[Mount]', `What=${withoutSpecifiers(file)}`);
}

/**
 * Makes systemd mount the path at boot, and makes its automount unit do nothing: the service that mounts the overlay
 * accesses the path, so at an automount point the service would wait for the mount, and the mount for the service. The
 * automount unit is not masked, because local-fs.target requires it, and a target that requires a masked unit does not
 * start (systemd, src/core/transaction.c).
 */
function replaceAutomount(guest: Guest, line: FstabLine): void {
  const { reader, units } = guest;
  // No overlay is mounted over a file system that is known to be on writable disks other than those of the root.
  const found = disksOfSource(reader, line.source);
  if (found !== undefined && !found.disks.some(({ readOnly }) => readOnly) && !isOnRootDisk(guest, found))
    return;
  const name = escapePath(line.target);
  units.dropin(`${name}.automount`, '[Unit]', 'ConditionPathExists=!/');
  units.wanted.push(`${name}.mount`);
  // Order the mount as systemd-fstab-generator(8) orders a mount without an automount.
  if (!hasOption(line, 'nofail')) units.after.push(`${name}.mount`);
}

/**
 * Masks the unit of a swap area on read-only disks or on a disk of the root, because activating the swap area would
 * fail.
 */
function maskSwap(guest: Guest, source: string): void {
  const found = disksOfSource(guest.reader, source);
  if (found === undefined || (found.state === 'writable' && !isOnRootDisk(guest, found))) return;
  // The unit is named after the source in fstab.
  const { usual } = sourceFile(guest.reader, source);
  guest.units.earlyLink(`${escapePath(usual)}.swap`, '/dev/null');
}

// --- a boot that is not sealed ------------------------------------------------------------------------------

/**
 * Makes systemd mount the `ro` file systems of fstab read-write if they are on a disk of the root and all disks of the
 * root are writable. A device that does not exist yet (a volume that is not active) counts as a device on these disks.
 * @returns whether the boot moves data
 */
function addMaintenanceUnits(guest: Guest): boolean {
  const { config, reader, state, units } = guest;
  if (config.SEED === 'host') maskCloudInit(guest);
  // The root of a recorded maintenance boot may be on what is no block device.
  if (state.disks.length === 0 && !state.isRecorded) return false;
  if (state.disks.some(({ readOnly }) => readOnly)) return false;
  // With a target on the command line, systemd would not start immutafs-move.target.
  const moves =
    state.mode === 'maintenance' &&
    reader.status(moveMarker) !== undefined &&
    reader.status(moveRefused) === undefined &&
    !namesTarget(splitKernelArguments(readCommandLine(reader)));
  if (moves) addMoveUnits(guest);
  for (const line of guest.fstab) {
    const { source, target, type, isDevice } = line;
    if (!isDevice || !target.startsWith('/') || !/^(?:xfs|ext[234]|btrfs|vfat)$/.test(type)) continue;
    if (hasOption(line, 'noauto') || !hasOption(line, 'ro')) continue;
    if (target === '/') {
      units.dropin('systemd-remount-fs.service', '[Service]', 'ExecStartPost=/bin/mount -o remount,rw /');
      continue;
    }
    const found = disksOfSource(reader, source);
    const options = unescapeBytes(line.options);
    if ((found !== undefined && !isOnRootDisk(guest, found)) || options.includes('\n')) continue;
    const writable = options.replace(/(^|,)ro(?=,|$)/, '$1rw');
    units.dropin(`${escapePath(target)}.mount`, '[Mount]', `Options=${withoutSpecifiers(writable)}`);
  }
  return moves;
}
