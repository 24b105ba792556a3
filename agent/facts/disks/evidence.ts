import path from 'node:path';
import { errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { differsFromBelow } from './block.ts';

/** Whether a disk is read-only, whether the host made it read-only, and the evidence for this. */
export interface Evidence {
  /**
   * Whether the host made the disk read-only, or the flag of the block device (/sys/block/NAME/ro) is set. Root in the
   * guest can set this flag.
   */
  readOnly: boolean;
  /** Whether the host made the disk read-only, as the device itself reports; null if the device reports nothing. */
  hostReadOnly: boolean | null;
  /** The source of readOnly and hostReadOnly, as shown in messages. */
  evidence: string;
}

/** The bit number of VIRTIO_BLK_F_RO (Virtio 1.2, 5.2.3). /sys/bus/virtio/devices/N/features lists bit 0 first. */
const VIRTIO_BLK_F_RO = 5;

/**
 * Determines whether a disk is read-only and whether the host made it read-only.
 * @param node the sysfs directory of the disk
 * @param lastEvidence returns the evidence for a disk, by name, in the last report of this boot
 */
export function findEvidence(
  reader: SystemReader,
  node: string,
  lastEvidence: (name: string) => Evidence | undefined,
): Evidence {
  const flag = reader.read(`${node}/ro`).trim() === '1';
  if (isHypervisorCdrom(reader, node)) return { readOnly: true, hostReadOnly: true, evidence: cdrom };
  const driver = hypervisorDriver(reader, node);
  if (driver === 'virtio_blk') {
    const offered = reader.read(`${node}/device/features`).charAt(VIRTIO_BLK_F_RO) === '1';
    const evidence = `virtio feature VIRTIO_BLK_F_RO ${offered ? 'offered' : 'not offered'} by the host`;
    return { readOnly: flag || offered, hostReadOnly: offered, evidence };
  }
  const differs = differsFromBelow(reader, node);
  if (differs !== undefined) return { readOnly: flag, hostReadOnly: false, evidence: differs };
  if (!flag) return { readOnly: false, hostReadOnly: false, evidence: 'the block device is writable' };
  const address = /\/(\d+:\d+:\d+:\d+)\/block\//.exec(node)?.[1];
  if (driver === undefined) return { readOnly: true, ...evidenceOfOtherDriver(reader, node, address) };
  const scsi =
    address === undefined ? undefined : scsiEvidence(reader, address, lastEvidence(path.basename(node)));
  return { readOnly: true, ...(scsi ?? { hostReadOnly: null, evidence: onlyTheFlag }) };
}

/**
 * Returns the evidence for a disk that root in the guest may have created. Only the flag of a disk that is neither a
 * SCSI disk nor a virtual device, such as an NVMe disk, may be that of the host.
 */
function evidenceOfOtherDriver(
  reader: SystemReader,
  node: string,
  address: string | undefined,
): Omit<Evidence, 'readOnly'> {
  const isVirtual = address !== undefined || /\/(virtual|virtio\d+)\//.test(node);
  if (!isVirtual) return { hostReadOnly: null, evidence: onlyTheFlag };
  const driver = describeDriver(reader, node);
  const named = driver === '' ? '' : ` (driver ${driver})`;
  return { hostReadOnly: false, evidence: `read-only, but root in the guest can create such a disk${named}` };
}

/**
 * Returns the evidence for a SCSI disk. The kernel reads and logs the write-protect bit only when it detects the disk,
 * and the log may have dropped this record since then. In that case, the last report of this boot is used.
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
  const why = unread === '' ? 'the kernel log no longer contains the record of the disk' : unread;
  return { hostReadOnly: null, evidence: `${onlyTheFlag}; ${why}` };
}

/** Do not change this text: in reports written by earlier versions, the evidence begins with it. */
const writeProtectIsOn = "SCSI write protect is on, by the kernel's log";
const onlyTheFlag = 'only the block-device flag, which root in the guest can set';

/**
 * Reads the write-protect bit of a SCSI disk (MODE SENSE, SPC) from the kernel log, because Node.js has no ioctl(2)
 * with which to query the disk.
 * @param address H:C:T:L, as in sysfs
 * @returns bit: undefined if the log has no record of the disk or cannot be read; unread: the reason why the log cannot
 *     be read, otherwise empty
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

/** The drivers of the disks that only a hypervisor presents. */
type HypervisorDriver = 'virtio_blk' | 'virtio_scsi' | 'vmw_pvscsi';

/**
 * Returns the driver of a disk, or of its SCSI host, if only a hypervisor presents such a disk; otherwise undefined.
 * Root in the guest can create disks of all other kinds that report write protection: scsi_debug, iSCSI, FCoE, USB
 * gadgets, NVMe over Fabrics, and also virtio-blk, by VDUSE or the simulator of vDPA. A virtio device must therefore be a
 * function of a PCI device. The SCSI hosts are those of QEMU and libvirt that are no real hardware: virtio-scsi, and
 * pvscsi (vmpvscsi in libvirt). The other models (LSI, MegaRAID) have the drivers of real adapters. With such an adapter
 * of the host, the guest decides which disks it finds. boot/disks.sh and 66-immutafs-readonly.rules have the
 * same rule.
 * @param node the sysfs directory of the disk
 */
function hypervisorDriver(reader: SystemReader, node: string): HypervisorDriver | undefined {
  if (reader.stat(`${node}/device`) === undefined) return undefined;
  const device = reader.resolve(`${node}/device`);
  const isOnVirtioPci = (virtio: string) => driverOf(reader, path.dirname(virtio)) === 'virtio-pci';
  const host = hostDirectory(device);
  if (host === undefined) {
    return driverOf(reader, device) === 'virtio_blk' && isOnVirtioPci(device) ? 'virtio_blk' : undefined;
  }
  const adapter = path.dirname(host);
  const driver = driverOf(reader, adapter);
  if (driver === 'vmw_pvscsi') return driver;
  return driver === 'virtio_scsi' && isOnVirtioPci(adapter) ? driver : undefined;
}

/** Names the driver of a disk or of its SCSI host; empty if it is unknown. */
function describeDriver(reader: SystemReader, node: string): string {
  if (reader.stat(`${node}/device`) === undefined) return '';
  const device = reader.resolve(`${node}/device`);
  // Transports such as iSCSI and SAS have further directories between the host and the disk.
  const [host] = /^.*?\/host\d+(?=\/)/.exec(device) ?? [];
  if (host === undefined) return driverOf(reader, device);
  return reader.readIfPresent(`${host}/scsi_host/${path.basename(host)}/proc_name`)?.trim() ?? '';
}

const cdrom = 'CD-ROM drive of the hypervisor, which cannot write';

/**
 * Whether a drive is a CD-ROM drive that only a hypervisor presents and that cannot write. The read-only flag of the
 * kernel is no evidence, because the kernel sets it for every drive whose present medium cannot be written. QEMU's drives
 * have the vendor QEMU; a drive that the host passes through, which may be able to write, has another vendor. Besides the
 * adapters of disks (hypervisorDriver), IDE and SATA adapters are accepted: root can create no device with their drivers.
 * boot/disks.sh has the same rule.
 * @param node the sysfs directory of the drive
 */
function isHypervisorCdrom(reader: SystemReader, node: string): boolean {
  const name = path.basename(node);
  if (!/^sr\d+$/.test(name)) return false;
  if (reader.readIfPresent(`${node}/device/vendor`)?.trim() !== 'QEMU') return false;
  const isOnAdapter = hypervisorDriver(reader, node) !== undefined || isOnAta(reader, node);
  return isOnAdapter && !canWriteDiscs(reader.readIfPresent('/proc/sys/dev/cdrom/info') ?? '', name);
}

/** For IDE and SATA, the directory of the port, which has no driver, is between those of the adapter and of the host. */
function isOnAta(reader: SystemReader, node: string): boolean {
  const host = hostDirectory(reader.resolve(`${node}/device`));
  if (host === undefined) return false;
  const port = path.dirname(host);
  return driverOf(reader, port) === '' && ['ahci', 'ata_piix'].includes(driverOf(reader, path.dirname(port)));
}

/**
 * Whether a drive can write discs by what it reports itself (MODE SENSE), and also if the kernel does not list the drive.
 * @param info /proc/sys/dev/cdrom/info (drivers/cdrom/cdrom.c): one line for each property, with a column for each drive
 */
function canWriteDiscs(info: string, name: string): boolean {
  const lines = info.split('\n').map((line) => /^([^:]+):\s*(.*)$/.exec(line));
  const columns = (key: string) =>
    (lines.find((line) => line?.[1] === key)?.[2] ?? '').split(/\s+/).filter((value) => value !== '');
  const column = columns('drive name').indexOf(name);
  if (column < 0) return true;
  const kinds = ['Can write CD-R', 'Can write CD-RW', 'Can write DVD-R', 'Can write DVD-RAM'];
  return kinds.some((kind) => !['0', undefined].includes(columns(kind)[column]));
}

/** Returns the directory of the SCSI host, if the target is directly below it: host2/target2:0:0/2:0:0:0. */
function hostDirectory(device: string): string | undefined {
  return /^(.*\/host\d+)\/target\d+:\d+:\d+\/\d+:\d+:\d+:\d+$/.exec(device)?.[1];
}

/** Returns the driver of a device (Documentation/ABI/testing/sysfs-uevent); empty if it has none. */
function driverOf(reader: SystemReader, directory: string): string {
  return /^DRIVER=(.*)$/m.exec(reader.readIfPresent(`${directory}/uevent`) ?? '')?.[1] ?? '';
}
