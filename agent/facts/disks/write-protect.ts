import { errorMessage } from '../../lib/errors.ts';
import { baseName } from '../../lib/paths.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Evidence, type EvidenceOfScsi, onlyTheFlag } from './evidence.ts';

/**
 * Returns the evidence for a SCSI disk. The kernel reads and logs the write-protect bit only when it detects the disk,
 * and the log may have dropped this record since then. In that case, the last report of this boot is used.
 * @param lastEvidence returns the evidence for a disk, by name, in the last report of this boot
 */
export function scsiEvidence(
  reader: Pick<SystemReader, 'kernelLog'>,
  lastEvidence: (name: string) => Evidence | undefined,
): EvidenceOfScsi {
  return (node, address) => {
    const { bit, unread } = readWriteProtect(reader, address);
    if (bit === true) return { hostReadOnly: true, evidence: writeProtectIsOn };
    if (bit === false) {
      return { hostReadOnly: false, evidence: `${onlyTheFlag}; the disk itself is not write-protected` };
    }
    const last = lastEvidence(baseName(node));
    if (last?.hostReadOnly === true && last.evidence.startsWith(writeProtectIsOn)) {
      return { hostReadOnly: true, evidence: `${writeProtectIsOn} (seen at boot)` };
    }
    const why = unread === '' ? 'the kernel log no longer contains the record of the disk' : unread;
    return { hostReadOnly: null, evidence: `${onlyTheFlag}; ${why}` };
  };
}

/** Do not change this text: in reports written by earlier versions, the evidence begins with it. */
const writeProtectIsOn = "SCSI write protect is on, by the kernel's log";

/**
 * Reads the write-protect bit of a SCSI disk (MODE SENSE, SPC) from the kernel log, because Node.js has no ioctl(2)
 * with which to query the disk.
 * @param address H:C:T:L, as in sysfs
 * @returns bit: undefined if the log has no record of the disk or cannot be read; unread: the reason why the log cannot
 *     be read, otherwise empty
 */
function readWriteProtect(
  reader: Pick<SystemReader, 'kernelLog'>,
  address: string,
): { bit: boolean | undefined; unread: string } {
  try {
    return { bit: parseWriteProtect(reader.kernelLog(), address), unread: '' };
  } catch (error) {
    return { bit: undefined, unread: `the kernel's log cannot be read (${errorMessage(error)})` };
  }
}

/**
 * Returns the write-protect bit in the last record for an address, because a disk that is plugged in later may reuse
 * the address of a removed disk. Considers only records of the kernel itself, whose facility a process that writes to
 * /dev/kmsg cannot use (kernel/printk/printk.c, devkmsg_write()).
 * @param records in the format of /dev/kmsg: "PRIORITY,SEQUENCE,USECONDS,FLAGS;TEXT\n KEY=value…"
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

/** The record that sd_read_write_protect_flag() in drivers/scsi/sd.c writes. */
const form = /^(\d+),\d+,\d+,[^;]*;sd \d+:\d+:\d+:\d+: \[sd[a-z]+\] Write Protect is (on|off)(?:\n|$)/;
const kernelFacility = 0;
