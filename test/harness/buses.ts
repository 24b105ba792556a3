export interface BusDevice {
  /** The device of a disk, below /sys/devices. A virtio device is numbered by the index of the disk. */
  folder: string;
  /** The driver of each device above the disk that has one, by its folder or a part of it, and the names of SCSI hosts. */
  drivers: Record<string, string>;
}

const scsi = 'host2/target2:0:0/2:0:0:0';
const sd = { target: 'sd' };

/** The buses of disks, of which only the first, virtio-scsi and pvscsi are those of a hypervisor. */
export const buses = {
  'virtio-blk': {
    folder: 'pci0000:00/0000:00:04.0/virtioN',
    drivers: { virtio: 'virtio_blk', '04.0': 'virtio-pci' },
  },
  // On microvm, and what `virtio_mmio.device=` creates.
  'virtio-mmio': {
    folder: 'platform/virtio-mmio.0/virtioN',
    drivers: { 'mmio.0': 'virtio-mmio', virtio: 'virtio_blk' },
  },
  vduse: {
    folder: 'virtual/vduse/vduse0/vdpa0/virtioN',
    drivers: { virtio: 'virtio_blk', vdpa: 'virtio_vdpa' },
  },
  'virtio-scsi': {
    folder: `pci0000:00/0000:00:05.0/virtioN/${scsi}`,
    drivers: { ...sd, virtio: 'virtio_scsi', '05.0': 'virtio-pci', host: 'virtio_scsi' },
  },
  'vduse-scsi': {
    folder: `virtual/vduse/vduse0/vdpa0/virtioN/${scsi}`,
    drivers: { ...sd, virtio: 'virtio_scsi', vdpa: 'virtio_vdpa', host: 'virtio_scsi' },
  },
  pvscsi: {
    folder: `pci0000:00/0000:00:07.0/${scsi}`,
    drivers: { ...sd, '07.0': 'vmw_pvscsi', host: 'vmw_pvscsi' },
  },
  megasas: {
    folder: `pci0000:00/0000:00:08.0/${scsi}`,
    drivers: { ...sd, '08.0': 'megaraid_sas', host: 'megaraid_sas' },
  },
  scsi_debug: {
    folder: `pseudo_0/adapter0/${scsi}`,
    drivers: { ...sd, adapter: 'scsi_debug', host: 'scsi_debug' },
  },
  iscsi: {
    folder: 'platform/host2/session1/target2:0:0/2:0:0:0',
    drivers: { ...sd, host: 'iscsi_tcp' },
  },
  // The network interface is a virtio device.
  fcoe: {
    folder: 'pci0000:00/0000:00:03.0/virtioN/net/eth0/ctlr_0/host2/rport-2:0-0/target2:0:0/2:0:0:0',
    drivers: { ...sd, virtio: 'virtio_net', '03.0': 'virtio-pci', host: 'fcoe' },
  },
  loopback: {
    folder: `tcm_loop_0/tcm_loop_adapter_0/${scsi}`,
    drivers: { ...sd, adapter: 'tcm_loop', host: 'tcm_loopback' },
  },
  usb: {
    folder: `pci0000:00/0000:00:09.0/usb1/1-1/1-1:1.0/${scsi}`,
    drivers: { ...sd, '1:1.0': 'usb-storage', '09.0': 'xhci_hcd', host: 'usb-storage' },
  },
  ata: {
    folder: 'pci0000:00/0000:00:1f.2/ata1/host2/target2:0:0/2:0:0:0',
    drivers: { ...sd, '1f.2': 'ahci', host: 'ahci' },
  },
  ide: {
    folder: 'pci0000:00/0000:00:01.1/ata1/host2/target2:0:0/2:0:0:0',
    drivers: { ...sd, '01.1': 'ata_piix', host: 'ata_piix' },
  },
  // An adapter of the host that is passed through.
  'ata-other': {
    folder: 'pci0000:00/0000:00:1e.0/ata1/host2/target2:0:0/2:0:0:0',
    drivers: { ...sd, '1e.0': 'sata_nv', host: 'sata_nv' },
  },
  nvme: { folder: 'pci0000:00/0000:00:06.0/nvme/nvme0', drivers: { '06.0': 'nvme' } },
  'nvme-loop': { folder: 'virtual/nvme-fabrics/ctl/nvme0', drivers: {} },
  mmc: {
    folder: 'pci0000:00/0000:00:0a.0/mmc_host/mmc0/mmc0:4567',
    drivers: { '0a.0': 'sdhci-pci', 'mmc0:': 'mmcblk' },
  },
  'virtio-pmem': {
    folder: 'pci0000:00/0000:00:0b.0/virtioN/ndbus0/region0/namespace0.0',
    drivers: { virtio: 'virtio_pmem', '0b.0': 'virtio-pci' },
  },
  dasd: { folder: 'css0/0.0.0003/0.0.0200', drivers: { '0.0.0200': 'dasd-eckd' } },
  xen: { folder: 'vbd-51712', drivers: { vbd: 'vbd' } },
} as const satisfies Record<string, BusDevice>;

export type Bus = keyof typeof buses;
