import type { Mount } from '../mounts/mountinfo.ts';
import { type DeviceReader, nodeOfFile, nodeOfMounted } from './block.ts';
import { deviceFile } from './tags.ts';

/** Returns the sysfs directory of the block device of a mount (nodeOfMounted). */
export function nodeOfMount(reader: DeviceReader, mount: Mount): string | undefined {
  return nodeOfMounted(reader, mount, deviceFile(mount.source));
}

/** Returns the sysfs directory of the device that a source names; undefined if the device does not exist. */
export function nodeOfSource(reader: DeviceReader, source: string): string | undefined {
  return nodeOfFile(reader, deviceFile(source));
}
