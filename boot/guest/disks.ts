import {
  devicesUnder,
  mayHaveOtherDevices,
  nodeOfMounted,
  removedBelow,
} from '../../agent/facts/disks/block.ts';
import { type EvidenceOfScsi, findEvidence, onlyTheFlag } from '../../agent/facts/disks/evidence.ts';
import type { Mount } from '../../agent/facts/mounts/mount-lines.ts';
import { SystemError, unlessSystemError } from '../../agent/lib/errors.ts';
import { baseName } from '../../agent/lib/paths.ts';
import type { BootReader } from '../native/reader.ts';

export interface Disks {
  /** The kernel name of the device. */
  name: string;
  /** The kernel names of the device and of all devices below it. */
  stack: string[];
  /** The disks below the device. */
  disks: Disk[];
  /**
   * - sealed: every disk reports that it is read-only, and the content of the device is that of the disks
   * - read-only: every disk is read-only, perhaps only by a flag that root in the guest can set
   * - writable: all other devices
   */
  state: 'sealed' | 'read-only' | 'writable';
}

export interface Disk {
  name: string;
  readOnly: boolean;
  /**
   * - virtio-feature: the host offered VIRTIO_BLK_F_RO
   * - scsi-flag: the read-only flag of a SCSI disk that only a hypervisor presents
   * - cd-rom: a CD-ROM drive that only a hypervisor presents, which cannot write
   * - flag: a read-only flag that root in the guest can set
   * - stack: a device or file system above the disk has content that may not be that of the disk
   * - none
   */
  evidence: 'virtio-feature' | 'scsi-flag' | 'cd-rom' | 'flag' | 'stack' | 'none';
}

/**
 * Returns the disks below a device.
 * @param directory the sysfs directory of the device, or a link to it
 * @throws SystemError if a file of sysfs cannot be read; also if there is no such device
 */
export function disksOfDevice(reader: BootReader, directory: string): Disks {
  return disksUnder(reader, reader.resolve(directory));
}

/** Whether all disks below a device report that they are read-only; no, if they are unknown. @param name its kernel name */
export function isSealedDevice(reader: BootReader, name: string): boolean {
  return unlessSystemError(() => disksOfDevice(reader, `/sys/class/block/${name}`).state) === 'sealed';
}

/**
 * Returns the disks below the device of a mount; undefined for a file system without a block device. A mount whose file system may
 * have other devices is never sealed.
 */
export function disksOfMounted(reader: BootReader, mount: Mount): Disks | undefined {
  const source = mount.source.startsWith('/dev/') ? mount.source : undefined;
  const node = nodeOfMounted(reader, mount, source);
  if (node === undefined) return undefined;
  const found = disksUnder(reader, node);
  if (found.state !== 'sealed' || !mayHaveOtherDevices(mount)) return found;
  const disks = found.disks.map((disk): Disk => ({ ...disk, evidence: 'stack' }));
  return { ...found, disks, state: 'read-only' };
}

function disksUnder(reader: BootReader, node: string): Disks {
  const { stack, leaves, differing } = devicesUnder(reader, node);
  const below = new Set(differing.flatMap((each) => devicesUnder(reader, each).stack));
  const disks = leaves
    .filter((each) => !differing.includes(each))
    .map((each) => describe(reader, each, below.has(each)));
  // A disk that was removed may have been writable.
  const removed = [...new Set(stack.flatMap((each) => removedBelow(reader, each)))].map((name): Disk => ({
    name: nameOf(name),
    readOnly: false,
    evidence: 'none',
  }));
  const isReadOnly = disks.length > 0 && removed.length === 0 && disks.every(({ readOnly }) => readOnly);
  const isSealed = isReadOnly && disks.every(({ sealed }) => sealed);
  return {
    name: nameOf(node),
    stack: stack.map(nameOf),
    disks: [...disks, ...removed],
    state: isSealed ? 'sealed' : isReadOnly ? 'read-only' : 'writable',
  };
}

/** @param isBelow whether a device above the disk has content that may differ from that of the disk */
function describe(reader: BootReader, node: string, isBelow: boolean): Disk & { sealed: boolean } {
  const { readOnly, hostReadOnly } = findEvidence(reader, node, flagOfScsi);
  const name = nameOf(node);
  const sealed = hostReadOnly === true && !isBelow;
  const evidence = sealed ? evidenceOfHost(name) : isBelow ? 'stack' : readOnly ? 'flag' : 'none';
  return { name, readOnly, evidence, sealed };
}

function evidenceOfHost(name: string): Disk['evidence'] {
  if (name.startsWith('sr')) return 'cd-rom';
  return name.startsWith('vd') ? 'virtio-feature' : 'scsi-flag';
}

/**
 * The kernel sets the read-only flag of a SCSI disk that is write-protected when it detects the disk. The kernel sets the
 * flag of a CD-ROM drive for every medium that cannot be written now.
 */
const flagOfScsi: EvidenceOfScsi = (node) => ({
  hostReadOnly: baseName(node).startsWith('sd') ? true : null,
  evidence: onlyTheFlag,
});

/** Returns the word for a disk in boot.env: "vda:1:virtio-feature". */
export function wordOf({ name, readOnly, evidence }: Disk): string {
  return `${name}:${readOnly ? 1 : 0}:${evidence}`;
}

/** Returns the kernel name of a device. @throws SystemError if a shell could take it for several words or a pattern */
function nameOf(node: string): string {
  const name = baseName(node);
  if (!/^[\w!.+-]+$/.test(name)) throw new SystemError(`${node}: the name of the device is malformed`);
  return name;
}

/**
 * Whether a multipath device is under a device (or is the device), and one of its paths is read-only. The paths lead to
 * the same disk, which the host wants to be read-only. A writable path is no evidence for that, so such a device is set
 * read-only but is not sealed.
 */
export function hasReadOnlyPath(reader: BootReader, directory: string): boolean {
  return devicesUnder(reader, reader.resolve(directory)).stack.some((node) => {
    if (!(reader.readIfPresent(`${node}/dm/uuid`) ?? '').startsWith('mpath-')) return false;
    return reader
      .list(`${node}/slaves`)
      .some((name) => reader.readIfPresent(`${node}/slaves/${name}/ro`) === '1\n');
  });
}
