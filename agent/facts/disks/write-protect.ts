import { errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/**
 * The write-protect bit of a SCSI disk (MODE SENSE, SPC), as the kernel said when it read it: Node has no
 * ioctl(2) to ask the disk.
 * @param address H:C:T:L, as in sysfs
 * @returns bit undefined where the log does not say, or cannot be read; unread has the reason then
 */
export function writeProtect(
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
 * The last word counts: the address is given to another disk when one is plugged in. Only records of the kernel
 * itself: what is written to /dev/kmsg has never its facility (kernel/printk/printk.c, devkmsg_write()).
 * @param records as /dev/kmsg gives them: "PRIORITY,SEQUENCE,USECONDS,FLAGS;TEXT\n KEY=value…"
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
