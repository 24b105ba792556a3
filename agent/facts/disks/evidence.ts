import path from 'node:path';
import { errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/** Whether a disk is read-only, who made it so, and how that is known. */
export interface Evidence {
  /** The block device's own flag (/sys/block/NAME/ro), which root in the guest can set; or the host's setting. */
  readOnly: boolean;
  /** Whether the host made the disk read-only, as the device itself reports; null if the device reports nothing. */
  hostReadOnly: boolean | null;
  /** The source of this information, for messages. */
  evidence: string;
}

/** VIRTIO_BLK_F_RO (Virtio 1.2, 5.2.3); /sys/bus/virtio/devices/N/features has the bits, bit 0 first. */
const VIRTIO_BLK_F_RO = 5;

/**
 * @param node a disk's folder in sysfs
 * @param lastEvidence the evidence of a disk, by name, in the last report of this boot
 */
export function findEvidence(
  reader: SystemReader,
  node: string,
  bus: string,
  lastEvidence: (name: string) => Evidence | undefined,
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
    address === undefined ? undefined : scsiEvidence(reader, address, lastEvidence(path.basename(node)));
  return { readOnly: true, ...(scsi ?? { hostReadOnly: null, evidence: onlyTheFlag }) };
}

/**
 * Evidence of a SCSI disk. The kernel reads the write-protect bit once, when it finds the disk, and the record may be
 * gone from its log later. Then the last report of this boot counts.
 */
function scsiEvidence(
  reader: SystemReader,
  address: string,
  last: Evidence | undefined,
): Omit<Evidence, 'readOnly'> {
  const { bit, unread } = readWriteProtect(reader, address);
  if (bit === true) return { hostReadOnly: true, evidence: writeProtectIsOn };
  if (bit === false) {
    return { hostReadOnly: false, evidence: `${onlyTheFlag}; the disk itself is not write-protected` };
  }
  if (last?.hostReadOnly === true && last.evidence.startsWith(writeProtectIsOn)) {
    return { hostReadOnly: true, evidence: `${writeProtectIsOn} (seen at boot)` };
  }
  const why = unread === '' ? "the kernel's log no longer has the record of the disk" : unread;
  return { hostReadOnly: null, evidence: `${onlyTheFlag}; ${why}` };
}

/** It begins the evidence in the reports of earlier versions too, so its text must not change. */
const writeProtectIsOn = "SCSI write protect is on, by the kernel's log";
const onlyTheFlag = 'only the block-device flag, which root in the guest can set';

/**
 * The write-protect bit of a SCSI disk (MODE SENSE, SPC), from the kernel's log: Node has no ioctl(2) to query the
 * disk.
 * @param address H:C:T:L, as in sysfs
 * @returns bit: undefined if the log has no record or cannot be read; unread: the reason, else empty
 */
function readWriteProtect(
  reader: SystemReader,
  address: string,
): { bit: boolean | undefined; unread: string } {
  try {
    return { bit: parseWriteProtect(reader.kernelLog(), address), unread: '' };
  } catch (error) {
    return { bit: undefined, unread: `the kernel's log cannot be read (${errorMessage(error)})` };
  }
}

/**
 * The last record of an address counts, since a disk that is plugged in later may get the address of another one. Only
 * records of the kernel itself count: a write to /dev/kmsg cannot use its facility (kernel/printk/printk.c,
 * devkmsg_write()).
 * @param records as in /dev/kmsg: "PRIORITY,SEQUENCE,USECONDS,FLAGS;TEXT\n KEY=value…"
 */
export function parseWriteProtect(records: readonly string[], address: string): boolean | undefined {
  let bit: boolean | undefined;
  for (const record of records) {
    const [, priority = '', on] = form.exec(record) ?? [];
    if (on === undefined || Number(priority) >> 3 !== kernelFacility) continue;
    if (record.slice(record.indexOf(';') + 1).startsWith(`sd ${address}: [`)) bit = on === 'on';
  }
  return bit;
}

/** drivers/scsi/sd.c, sd_read_write_protect_flag(). */
const form = /^(\d+),\d+,\d+,[^;]*;sd \d+:\d+:\d+:\d+: \[sd[a-z]+\] Write Protect is (on|off)(?:\n|$)/;
const kernelFacility = 0;
