import type { Mount } from '../../agent/facts/mounts/mount-lines.ts';
import { type BootState, bootState, mountAt, readMounts } from '../guest/boot-state.ts';
import { type BootConfig, readConfig } from '../guest/config.ts';
import type { Disks } from '../guest/disks.ts';
import { type FstabLine, readFstab } from '../guest/fstab.ts';
import { escapePath } from '../guest/units.ts';
import type { BootReader } from '../native/reader.ts';
import { type UnitFiles, unitFiles } from './unit-files.ts';

/** What the generator knows of the guest, and the units that it writes. */
export interface Guest {
  reader: BootReader;
  config: BootConfig['values'];
  /** Warnings about the configuration and the kernel arguments. */
  warnings: readonly string[];
  state: BootState;
  fstab: readonly FstabLine[];
  mountAt: (path: string) => Mount | undefined;
  units: UnitFiles;
}

/** @throws SystemError if something that decides is unknown */
export function readGuest(reader: BootReader): Guest {
  const mounts = readMounts(reader);
  const { values, warnings } = readConfig(reader, '/etc/immutafs/immutafs.conf');
  const state = bootState(reader, mounts, values);
  return {
    ...{ reader, config: values, warnings: [...warnings, ...state.warnings], state },
    fstab: readFstab(reader),
    mountAt: (path) => mountAt(mounts, path),
    units: unitFiles(),
  };
}

/** Whether systemd has a unit, in /usr. SELinux does not let a generator read it. */
export function hasSystemUnit({ reader }: Pick<Guest, 'reader'>, unit: string): boolean {
  return reader.status(`/usr/lib/systemd/system/${unit}`) !== undefined;
}

/** Whether one of the disks is a disk of the root. */
export function isOnRootDisk({ state }: Guest, { disks }: Pick<Disks, 'disks'>): boolean {
  return disks.some(({ name }) => state.disks.some((disk) => disk.name === name));
}

/**
 * Lets a service run before the mount unit of a path, and the mount unit wait for it.
 * @param kind immutafs-var@.service or immutafs-mount@.service
 * @param device the device file, for which the service waits
 * @returns the name of the service
 */
export function addServiceBeforeMount(
  { units }: Guest,
  kind: 'var' | 'mount',
  target: string,
  device?: string,
): string {
  const name = escapePath(target);
  const service = `immutafs-${kind}@${name}.service`;
  units.dropin(`${name}.mount`, '[Unit]', `Wants=${service}`, `After=${service}`);
  const above = target.slice(0, target.lastIndexOf('/'));
  const lines = [`Before=${name}.mount`];
  if (above !== '') lines.push(`RequiresMountsFor=${above.replaceAll('%', '%%').replaceAll(' ', '\\x20')}`);
  // Wants= is enough, because the mount unit itself handles a missing device.
  if (device !== undefined) {
    const unit = `${escapePath(device)}.device`;
    lines.push(`Wants=${unit}`, `After=${unit}`);
  }
  units.dropin(service, '[Unit]', ...lines);
  return service;
}
