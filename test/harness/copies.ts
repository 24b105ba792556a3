import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { type Change, all, file } from './changes.ts';
import type { DiskFixture, StackFixture } from './sysfs.ts';

/** Adds a device's record to udev's database. */
export const record = (device: string, properties: Record<string, string>): Change =>
  file(
    `run/udev/data/b${device}`,
    ['I:1', ...Object.entries(properties).map(([key, value]) => `E:${key}=${value}`), 'G:systemd', ''].join(
      '\n',
    ),
  );

/** Adds the same record for each of several devices. */
export const records = (devices: readonly string[], properties: Record<string, string>): Change =>
  all(...devices.map((device) => record(device, properties)));

export const device =
  (fixture: DiskFixture | StackFixture): Change =>
  ({ devices, files }) => {
    devices.push(fixture);
    for (const name of [
      fixture.name,
      ...Object.keys('partitions' in fixture ? (fixture.partitions ?? {}) : {}),
    ])
      files[`dev/${name}`] = '';
  };

/** Adds a writable disk with two partitions, 252:33 and 252:34, to the good guest. */
export const secondDisk = (changes: Partial<DiskFixture> = {}): Change =>
  device({
    name: 'vdc',
    device: '252:32',
    bus: 'virtio-blk',
    partitions: { vdc1: '252:33', vdc2: '252:34' },
    ...changes,
  });

/**
 * Replaces the good guest's root on LVM with a root on a partition.
 * @param mounted the device number of the partition
 */
export const plainRoot =
  (mounted: string): Change =>
  (guest) => {
    guest.devices = guest.devices.filter(({ name }) => name !== 'dm-0');
    const line = (guest.mounts['root'] ?? '').replace(/^253:0 (.*) - .*/, `${mounted} $1 - ext4 /dev/x ro`);
    guest.mounts['root'] = line;
    guest.mounts['lower'] = (guest.mounts['lower'] ?? '').replace('253:0', mounted);
  };

/** Writes the beginning of a physical volume of the volume group rhel to a device (test/fixtures/lvm). */
export const physicalVolume = (name: string): Change =>
  file(
    `dev/${name}`,
    zlib
      .gunzipSync(fs.readFileSync(path.join(import.meta.dirname, '../fixtures/lvm/physical-volume.gz')))
      .toString('latin1'),
  );

/** The second partitions of the sealed disk and of the second disk. */
export const bothPartitions = ['252:2', '252:34'];
export const xfs = { ID_FS_TYPE: 'xfs', ID_FS_UUID: '1f5a-AB' };
export const part = { ID_PART_ENTRY_NUMBER: '2' };

/**
 * Adds a second disk, and gives its second partition the same identities as the second partition of the sealed disk.
 */
export const copied = (properties: Record<string, string>): Change =>
  all(secondDisk(), records(bothPartitions, properties));

export const cmdline = (words: string): Change => file('proc/cmdline', `ro quiet ${words}\n`);
