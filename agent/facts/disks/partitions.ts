/** A partition as udev's database describes it. */
export interface Partition {
  /** Kernel name: vdb1. */
  name: string;
  /** The disk that it is on. */
  disk: string;
  /** ID_PART_ENTRY_UUID in lower case; empty without one. */
  id: string;
  /** A firmware may start a boot loader from it: an EFI system partition, or the active partition of an MBR. */
  bootable: boolean;
  /** The guest can write to its disk. If that is unknown, false: the check host-enforced reports such a disk. */
  writable: boolean;
}

const efiSystem = /^(c12a7328-f81f-11d2-ba4b-00a0c93ec93b|0xef)$/i;

/** The partition of a record in udev's database. */
export function describePartition(
  record: ReadonlyMap<string, string>,
  { name, disk, writable }: Pick<Partition, 'name' | 'disk' | 'writable'>,
): Partition {
  const bootable =
    efiSystem.test(record.get('ID_PART_ENTRY_TYPE') ?? '') || record.get('ID_PART_ENTRY_FLAGS') === '0x80';
  return { name, disk, id: (record.get('ID_PART_ENTRY_UUID') ?? '').toLowerCase(), bootable, writable };
}

/** The partitions among all block devices, mounted or not. */
export function partitionsOf(devices: readonly { partition: Partition | undefined }[]): Partition[] {
  return devices.flatMap(({ partition }) => partition ?? []);
}
