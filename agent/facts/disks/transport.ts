import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';

/** The drivers of the disks that only a hypervisor presents. */
export type HypervisorDriver = 'virtio_blk' | 'virtio_scsi' | 'vmw_pvscsi';

/**
 * Returns the driver of a disk, or of its SCSI host, if only a hypervisor presents such a disk; otherwise undefined.
 * Root in the guest can create disks of all other kinds that report write protection: scsi_debug, iSCSI, FCoE, USB
 * gadgets, NVMe over Fabrics, and also virtio-blk, by VDUSE or the simulator of vDPA. A virtio device must therefore be a
 * function of a PCI device. The SCSI hosts are those of QEMU and libvirt that are no real hardware: virtio-scsi, and
 * pvscsi (vmpvscsi in libvirt). The other models (LSI, MegaRAID) have the drivers of real adapters. With such an adapter
 * of the host, the guest decides which disks it finds. dracut/immutafs-lib.sh and 66-immutafs-readonly.rules have the
 * same rule.
 * @param node the sysfs directory of the disk
 */
export function hypervisorDriver(reader: SystemReader, node: string): HypervisorDriver | undefined {
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
export function describeDriver(reader: SystemReader, node: string): string {
  if (reader.stat(`${node}/device`) === undefined) return '';
  const device = reader.resolve(`${node}/device`);
  // Transports such as iSCSI and SAS have further directories between the host and the disk.
  const [host] = /^.*?\/host\d+(?=\/)/.exec(device) ?? [];
  if (host === undefined) return driverOf(reader, device);
  return reader.readIfPresent(`${host}/scsi_host/${path.basename(host)}/proc_name`)?.trim() ?? '';
}

/** Returns the directory of the SCSI host, if the target is directly below it: host2/target2:0:0/2:0:0:0. */
function hostDirectory(device: string): string | undefined {
  return /^(.*\/host\d+)\/target\d+:\d+:\d+\/\d+:\d+:\d+:\d+$/.exec(device)?.[1];
}

/** Returns the driver of a device (Documentation/ABI/testing/sysfs-uevent); empty if it has none. */
function driverOf(reader: SystemReader, directory: string): string {
  return /^DRIVER=(.*)$/m.exec(reader.readIfPresent(`${directory}/uevent`) ?? '')?.[1] ?? '';
}
