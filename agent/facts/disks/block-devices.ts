import path from 'node:path';
import { cached } from '../../lib/cached.ts';
import { hasCode, unless } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { blockNodes, devicesUnder } from './block.ts';
import { type Disk, describeDisk } from './disks.ts';
import type { Evidence } from './evidence.ts';
import { tagsOf } from './identities.ts';
import { readUdevRecord } from './tags.ts';
import { readVolumeGroup, volumeGroupOfLv } from './volume-group.ts';

/** A block device and its identities. The device need not be mounted. */
export type BlockDevice = NonNullable<ReturnType<typeof describe>>;

/** The content type of a path to a multipath disk, as multipath.rules of multipath-tools sets it in ID_FS_TYPE. */
const multipathPath = 'mpath_member';

/** Upper bound on the number of devices, because each device requires several reads. */
const maximumDevices = 4096;

/**
 * Describes all block devices whose size is not 0.
 * @param known maps names to disks that were already read
 * @param lastEvidence returns the evidence for a disk, by name, in the last report of this boot
 * @throws SystemError if there are more than 4096 devices, or a device cannot be read
 */
export function findBlockDevices(
  reader: SystemReader,
  known: ReadonlyMap<string, Omit<Disk, 'holds'>>,
  lastEvidence: (name: string) => Evidence | undefined,
): BlockDevice[] {
  const nodes = blockNodes(reader, maximumDevices);
  const evidence = cached(
    (node: string) => known.get(path.basename(node)) ?? describeDisk(reader, node, lastEvidence),
  );
  const devices = nodes.flatMap((node) => unless(isGone, () => describe(reader, node, evidence)) ?? []);
  return withVolumeGroups(reader, withoutPaths(devices));
}

/** The error codes of a device that has been unplugged in the meantime. */
const isGone = hasCode('ENOENT', 'ENODEV', 'ENXIO');

function describe(reader: SystemReader, node: string, evidence: (disk: string) => Omit<Disk, 'holds'>) {
  if (Number(reader.read(`${node}/size`)) === 0) return undefined;
  const name = path.basename(node);
  const device = reader.read(`${node}/dev`).trim();
  const { stack, leaves } = devicesUnder(reader, node);
  const record = readUdevRecord(reader, device);
  const mapped = reader.stat(`${node}/dm/name`) === undefined ? '' : reader.read(`${node}/dm/name`).trim();
  const found = leaves.map(evidence);
  const hostReadOnly = ofAll(found);
  return {
    /** The kernel's name: vda2, dm-0. */
    name,
    /** "major:minor" */
    device,
    /** The path shown in messages: /dev/vda2, /dev/mapper/rhel-root. */
    file: mapped === '' ? `/dev/${name}` : `/dev/mapper/${mapped}`,
    /** Names of the device itself and of every device below it. */
    stack: stack.map((each) => path.basename(each)),
    /** The disks below the device, with the evidence for readOnly. */
    disks: found.map(({ name: disk, readOnly, evidence: text }) => ({
      name: disk,
      readOnly,
      evidence: text,
    })),
    /** The serial numbers of these disks; a disk without a serial number is omitted. */
    serials: found.flatMap(({ serial }) => serial ?? []),
    /** Whether the host made every disk below the device read-only; null if that is unknown (`Evidence`). */
    hostReadOnly,
    tags: [...(mapped === '' ? [] : [`DM=${mapped}`]), ...tagsOf(record)],
    /** The type of the content as libblkid names it: xfs, LVM2_member; empty if the type is unknown. */
    content:
      record.get('DM_MULTIPATH_DEVICE_PATH') === '1' ? multipathPath : (record.get('ID_FS_TYPE') ?? ''),
    /**
     * The volume group of a logical volume, until `withVolumeGroups` replaces it with that of a physical volume, which is
     * undefined for all other devices and if the group is unknown.
     */
    volumeGroup: volumeGroupOfLv(
      record.get('DM_VG_NAME') ?? '',
      mapped === '' ? '' : reader.read(`${node}/dm/uuid`),
    ),
    /** undefined if the device is not a partition. */
    partition:
      reader.stat(`${node}/partition`) === undefined
        ? undefined
        : describePartition(record, {
            name,
            disk: path.basename(path.dirname(node)),
            writable: hostReadOnly === false,
          }),
  };
}

/**
 * Combines the evidence for several disks. Returns true if the host made every disk read-only; null if every disk is
 * read-only, but for at least one disk it is unknown whether the host made it so. Returns false in all other cases and
 * if there is no disk.
 */
function ofAll(disks: readonly Evidence[]): boolean | null {
  if (disks.length === 0 || disks.some((disk) => !disk.readOnly || disk.hostReadOnly === false)) return false;
  return disks.every((disk) => disk.hostReadOnly === true) ? true : null;
}

/**
 * Removes the tags of the paths to multipath disks and of the partitions on these paths, because only the multipath
 * device above the paths is used.
 */
function withoutPaths(devices: BlockDevice[]): BlockDevice[] {
  const paths = new Set(devices.flatMap(({ name, content }) => (content === multipathPath ? [name] : [])));
  const isOnPath = ({ name, stack }: BlockDevice) =>
    !name.startsWith('dm-') && stack.some((each) => paths.has(each));
  return devices.map((device) => (isOnPath(device) ? { ...device, tags: [] } : device));
}

/**
 * Determines the volume group of each physical volume from an active logical volume above it. Without an active logical
 * volume, the function reads the metadata on the physical volume, unless hostReadOnly is false. If such a volume could
 * pose as a member of a sealed group, the function also reads the metadata on the sealed disks, which names the members.
 * No other content of disks is read, because a disk that does not respond would block the agent.
 */
function withVolumeGroups(reader: SystemReader, devices: BlockDevice[]): BlockDevice[] {
  const isVolume = ({ content }: BlockDevice) => content === 'LVM2_member';
  const isMixed = devices.some((device) => isVolume(device) && device.hostReadOnly !== true);
  return devices.map((device) => {
    if (!isVolume(device)) return { ...device, volumeGroup: undefined };
    const read = () =>
      device.hostReadOnly === false ? undefined : readVolumeGroup(reader, `/dev/${device.name}`);
    const inUse = () =>
      devices.find((each) => each.volumeGroup !== undefined && each.stack.includes(device.name))?.volumeGroup;
    return { ...device, volumeGroup: isMixed ? (read() ?? inUse()) : (inUse() ?? read()) };
  });
}

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
function describePartition(
  record: ReadonlyMap<string, string>,
  { name, disk, writable }: Pick<Partition, 'name' | 'disk' | 'writable'>,
): Partition {
  const bootable =
    efiSystem.test(record.get('ID_PART_ENTRY_TYPE') ?? '') || record.get('ID_PART_ENTRY_FLAGS') === '0x80';
  return { name, disk, id: (record.get('ID_PART_ENTRY_UUID') ?? '').toLowerCase(), bootable, writable };
}

export function partitionsOf(devices: readonly { partition: Partition | undefined }[]): Partition[] {
  return devices.flatMap(({ partition }) => partition ?? []);
}
