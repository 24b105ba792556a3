import { onFile, unlessSystemError } from '../../agent/lib/errors.ts';
import type { Native } from './native.ts';

/**
 * Targets that return each sector of the devices below as it is: linear and striped (LVM), multipath, mirror, and the
 * origin of a snapshot.
 */
const direct = ['linear', 'striped', 'multipath', 'mirror', 'snapshot-origin'];

/**
 * Targets that do so with these first parameters: the levels of raid that compute nothing (a degraded RAID 4, 5 or 6
 * computes sectors from others), and crypt with the ciphers that cryptsetup uses by default: the result of another key
 * cannot be chosen. With cipher_null and an initialization vector such as tcw, or with plain64 in the mode cbc, it can.
 */
const directWith: ReadonlyMap<string, readonly string[]> = new Map([
  ['raid', ['raid0', 'raid0_meta', 'raid1', 'raid10']],
  ['crypt', ['aes-xts-plain64', 'aes-cbc-essiv:sha256']],
]);

/**
 * Returns the type of the first target of a device-mapper device with which the content of the device may differ from
 * that of the devices below it; an empty string if there is none, and "unreadable" if the kernel does not show the table.
 *
 * A device counts as read-only because the disks below it are. Root can put a table with other content over such a disk
 * (the feature corrupt_bio_byte of the target flakey), and chooses the name and the UUID of the device. Only the kernel
 * knows the table, and sysfs does not show it.
 * @param device "major:minor"
 */
export function differingTargetOf(native: Pick<Native, 'table'>, device: string): string {
  const [, major, minor] = /^(\d{1,7}):(\d{1,7})$/.exec(device) ?? [];
  if (minor === undefined) return 'unreadable';
  const targets = unlessSystemError(() =>
    onFile('/dev/mapper/control', () => native.table(Number(major), Number(minor))),
  );
  if (targets === undefined) return 'unreadable';
  for (const target of targets) {
    const [type = '', word = ''] = target.split(' ');
    if (!direct.includes(type) && directWith.get(type)?.includes(word) !== true) return type;
  }
  return '';
}
