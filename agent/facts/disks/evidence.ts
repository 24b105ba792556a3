import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';
import { writeProtect } from './write-protect.ts';

/** Who made a disk read-only, and what says so. */
export interface Evidence {
  /** The block device's own flag (/sys/block/NAME/ro); root in the guest can set it. */
  readOnly: boolean;
  /** The device's own word that the host made it read-only; null where it gives none. */
  hostReadOnly: boolean | null;
  /** What says so. */
  evidence: string;
}

/** VIRTIO_BLK_F_RO (Virtio 1.2, 5.2.3); /sys/bus/virtio/devices/N/features has the bits, 0 first. */
const VIRTIO_BLK_F_RO = 5;

/**
 * @param node a disk's folder in sysfs
 * @param remembered what the last report of this boot said of a disk, by name
 */
export function findEvidence(
  reader: SystemReader,
  node: string,
  bus: string,
  remembered: (name: string) => Evidence | undefined,
): Evidence {
  const flag = reader.read(`${node}/ro`).trim() === '1';
  if (bus === 'virtio-blk') {
    const offered = reader.read(`${node}/device/features`).charAt(VIRTIO_BLK_F_RO) === '1';
    const evidence = `virtio feature VIRTIO_BLK_F_RO ${offered ? 'offered' : 'not offered'} by the host`;
    return { readOnly: flag || offered, hostReadOnly: offered, evidence };
  }
  if (!flag) return { readOnly: false, hostReadOnly: false, evidence: 'the block device is writable' };
  const address = /\/(\d+:\d+:\d+:\d+)\/block\//.exec(node)?.[1];
  const scsi =
    address === undefined ? undefined : scsiEvidence(reader, address, remembered(path.basename(node)));
  return { readOnly: true, ...(scsi ?? { hostReadOnly: null, evidence: onlyTheFlag }) };
}

/** The kernel reads the write-protect bit when it finds the disk, and says so only then. */
function scsiEvidence(
  reader: SystemReader,
  address: string,
  before: Evidence | undefined,
): Omit<Evidence, 'readOnly'> {
  const { bit, unread } = writeProtect(reader, address);
  if (bit === true) return { hostReadOnly: true, evidence: saidOn };
  if (bit === false) {
    return { hostReadOnly: false, evidence: `${onlyTheFlag}; the disk itself is not write-protected` };
  }
  if (before?.hostReadOnly === true && before.evidence.startsWith(saidOn)) {
    return { hostReadOnly: true, evidence: `${saidOn} (seen at boot)` };
  }
  const why = unread === '' ? "the kernel's log no longer says what the disk is" : unread;
  return { hostReadOnly: null, evidence: `${onlyTheFlag}; ${why}` };
}

const saidOn = "SCSI write protect is on, by the kernel's log";
const onlyTheFlag = 'only the block-device flag, which root in the guest can set';
