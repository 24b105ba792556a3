/** A partition as described in udev's database. */
export interface Partition {
  /** Kernel name: vdb1. */
  name: string;
  /** Kernel name of the disk that contains the partition: vdb. */
  disk: string;
  /** ID_PART_ENTRY_UUID in lower case; empty if the property is not set. */
  id: string;
  /**
   * Whether firmware may start a boot loader from the partition, because it is an EFI system partition or the active
   * partition of an MBR.
   */
  bootable: boolean;
  /**
   * Whether the guest can write to the disk of the partition. false if this is unknown, because the check host-enforced
   * reports such a disk.
   */
  writable: boolean;
}

const efiSystem = /^(c12a7328-f81f-11d2-ba4b-00a0c93ec93b|0xef)$/i;

/** Converts a record of udev's database to a partition. */
export function describePartition(
  record: ReadonlyMap<string, string>,
  { name, disk, writable }: Pick<Partition, 'name' | 'disk' | 'writable'>,
): Partition {
  const bootable =
    efiSystem.test(record.get('ID_PART_ENTRY_TYPE') ?? '') || record.get('ID_PART_ENTRY_FLAGS') === '0x80';
  return { name, disk, id: (record.get('ID_PART_ENTRY_UUID') ?? '').toLowerCase(), bootable, writable };
}

/** Returns the partitions among the block devices. */
export function partitionsOf(devices: readonly { partition: Partition | undefined }[]): Partition[] {
  return devices.flatMap(({ partition }) => partition ?? []);
}
