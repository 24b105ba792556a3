import { baseName, parentOf } from '../../lib/paths.ts';
import { type DeviceReader, differsFromBelow } from './block.ts';

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

/**
 * Returns the evidence for a SCSI disk whose read-only flag is set and whose adapter is that of a hypervisor. The agent
 * reads the kernel's log (write-protect.ts); at boot, the flag is that of the kernel (boot/guest/disks.ts).
 * @param node the sysfs directory of the disk
 * @param address H:C:T:L, as in sysfs
 */
export type EvidenceOfScsi = (node: string, address: string) => Omit<Evidence, 'readOnly'>;

export const onlyTheFlag = 'only the block-device flag, which root in the guest can set';

/** The evidence begins with this for a read-only disk that root in the guest may have created. */
export const ofGuest = 'read-only, but root in the guest can create such a disk';

/** The bit number of VIRTIO_BLK_F_RO (Virtio 1.2, 5.2.3). /sys/bus/virtio/devices/N/features lists bit 0 first. */
const VIRTIO_BLK_F_RO = 5;

/**
 * Determines whether a disk is read-only and whether the host made it read-only. The boot and the agent call this
 * function; there is no other rule.
 * @param node the sysfs directory of the disk
 */
export function findEvidence(reader: DeviceReader, node: string, ofScsi: EvidenceOfScsi): Evidence {
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
  const scsi = address === undefined ? undefined : ofScsi(node, address);
  return { readOnly: true, ...(scsi ?? { hostReadOnly: null, evidence: onlyTheFlag }) };
}

/**
 * Returns the evidence for a disk that root in the guest may have created. Only the flag of a disk that is neither a
 * SCSI disk nor a virtual device, such as an NVMe disk, may be that of the host.
 */
function evidenceOfOtherDriver(
  reader: DeviceReader,
  node: string,
  address: string | undefined,
): Omit<Evidence, 'readOnly'> {
  const isVirtual = address !== undefined || /\/(virtual|virtio\d+)\//.test(node);
  if (!isVirtual) return { hostReadOnly: null, evidence: onlyTheFlag };
  const driver = describeDriver(reader, node);
  const named = driver === '' ? '' : ` (driver ${driver})`;
  return { hostReadOnly: false, evidence: `${ofGuest}${named}` };
}

/** The drivers of the disks that only a hypervisor presents. */
type HypervisorDriver = 'virtio_blk' | 'virtio_scsi' | 'vmw_pvscsi';

/**
 * Returns the driver of a disk, or of its SCSI host, if only a hypervisor presents such a disk; otherwise undefined.
 * Root in the guest can create disks of all other kinds that report write protection: scsi_debug, iSCSI, FCoE, USB
 * gadgets, NVMe over Fabrics, and also virtio-blk, by VDUSE or the simulator of vDPA. A virtio device must therefore be a
 * function of a PCI device. The SCSI hosts are those of QEMU and libvirt that are no real hardware: virtio-scsi, and
 * pvscsi (vmpvscsi in libvirt). The other models (LSI, MegaRAID) have the drivers of real adapters. With such an adapter
 * of the host, the guest decides which disks it finds.
 * @param node the sysfs directory of the disk
 */
function hypervisorDriver(reader: DeviceReader, node: string): HypervisorDriver | undefined {
  if (reader.stat(`${node}/device`) === undefined) return undefined;
  const device = reader.resolve(`${node}/device`);
  const isOnVirtioPci = (virtio: string) => driverOf(reader, parentOf(virtio)) === 'virtio-pci';
  const host = hostDirectory(device);
  if (host === undefined) {
    return driverOf(reader, device) === 'virtio_blk' && isOnVirtioPci(device) ? 'virtio_blk' : undefined;
  }
  const adapter = parentOf(host);
  const driver = driverOf(reader, adapter);
  if (driver === 'vmw_pvscsi') return driver;
  return driver === 'virtio_scsi' && isOnVirtioPci(adapter) ? driver : undefined;
}

/** Names the driver of a disk or of its SCSI host; empty if it is unknown. */
function describeDriver(reader: DeviceReader, node: string): string {
  if (reader.stat(`${node}/device`) === undefined) return '';
  const device = reader.resolve(`${node}/device`);
  // Transports such as iSCSI and SAS have further directories between the host and the disk.
  const [host] = /^.*?\/host\d+(?=\/)/.exec(device) ?? [];
  if (host === undefined) return driverOf(reader, device);
  return reader.readIfPresent(`${host}/scsi_host/${baseName(host)}/proc_name`)?.trim() ?? '';
}

const cdrom = 'CD-ROM drive of the hypervisor, which cannot write';

/**
 * Whether a drive is a CD-ROM drive that only a hypervisor presents and that cannot write. The read-only flag of the
 * kernel is no evidence, because the kernel sets it for every drive whose present medium cannot be written. QEMU's drives
 * have the vendor QEMU; a drive that the host passes through, which may be able to write, has another vendor. Besides the
 * adapters of disks (hypervisorDriver), IDE and SATA adapters are accepted: root can create no device with their drivers.
 * @param node the sysfs directory of the drive
 */
function isHypervisorCdrom(reader: DeviceReader, node: string): boolean {
  const name = baseName(node);
  if (!/^sr\d+$/.test(name)) return false;
  if (reader.readIfPresent(`${node}/device/vendor`)?.trim() !== 'QEMU') return false;
  const isOnAdapter = hypervisorDriver(reader, node) !== undefined || isOnAta(reader, node);
  return isOnAdapter && !canWriteDiscs(reader.readIfPresent('/proc/sys/dev/cdrom/info') ?? '', name);
}

/** For IDE and SATA, the directory of the port, which has no driver, is between those of the adapter and of the host. */
function isOnAta(reader: DeviceReader, node: string): boolean {
  const host = hostDirectory(reader.resolve(`${node}/device`));
  if (host === undefined) return false;
  const port = parentOf(host);
  return driverOf(reader, port) === '' && ['ahci', 'ata_piix'].includes(driverOf(reader, parentOf(port)));
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
function driverOf(reader: DeviceReader, directory: string): string {
  return /^DRIVER=(.*)$/m.exec(reader.readIfPresent(`${directory}/uevent`) ?? '')?.[1] ?? '';
}
