import type { SystemReader } from '../../system/reader.ts';
import { findLeaves, nodeOfFile } from './block.ts';
import { describeDisk } from './disks.ts';

/** The device that a line of fstab or /proc/swaps names. */
export interface NamedDevice {
  /** "major:minor"; undefined if the device does not exist, or the line names no device. */
  device: string | undefined;
  /** Whether the line names a device that does not exist. */
  missing: boolean;
  /** The disks below the device. */
  disks: { name: string; readOnly: boolean }[];
  /** "major:minor" of the other devices with the same identity, as far as assess/ knows them. */
  copies: string[];
}

/**
 * Finds the device of a device file, which may be a udev link.
 * @param file undefined for a source that is not a device
 * @throws SystemError
 */
export function findNamedDevice(reader: SystemReader, file: string | undefined): NamedDevice {
  const node = nodeOfFile(reader, file);
  if (node === undefined) return { device: undefined, missing: file !== undefined, disks: [], copies: [] };
  const disks = findLeaves(reader, node).map((leaf) => {
    const { name, readOnly } = describeDisk(reader, leaf, () => undefined);
    return { name, readOnly };
  });
  return { device: reader.read(`${node}/dev`).trim(), missing: false, disks, copies: [] };
}
