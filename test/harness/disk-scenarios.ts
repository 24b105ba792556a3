import type { Bus } from './buses.ts';
import type { DiskFixture, StackFixture } from './sysfs.ts';

export interface DiskScenario {
  devices: (DiskFixture | StackFixture)[];
  /** The device of the file system. */
  device: string;
  /** The disks below it, sorted. */
  disks: { name: string; bus: string; readOnly: boolean; hostReadOnly: boolean | null }[];
}

const disk = (name: string, device: string, more: Partial<DiskFixture> = {}): DiskFixture => ({
  name,
  device,
  bus: 'virtio-blk',
  ...more,
});
const found = (name: string, hostReadOnly: boolean | null, bus = 'virtio-blk') => ({
  name,
  bus,
  readOnly: hostReadOnly !== false,
  hostReadOnly,
});
const partitions = { vda1: '252:1', vda2: '252:2' };
const vda = disk('vda', '252:0', { partitions });
const sealed = disk('vda', '252:0', { partitions, offered: true });
const vdb = disk('vdb', '252:16');

/** The kernel log: the disk with the address of every SCSI disk of the scenarios is write-protected. */
export const writeProtected = ['5,300,1000000,-;sd 2:0:0:0: [sda] Write Protect is on\n SUBSYSTEM=scsi\n'];

/** A partition of a disk with write protection: the feature of virtio-blk, or else the flag that the kernel sets. */
const protectedOn = (name: string, bus: Bus, shown: string, hostReadOnly: boolean | null): DiskScenario => ({
  devices: [
    disk(name, '8:0', { bus, readOnly: true, offered: name === 'vdb', partitions: { [`${name}p1`]: '8:1' } }),
  ],
  device: '8:1',
  disks: [{ ...found(name, hostReadOnly, shown), readOnly: true }],
});

/** Stacks of block devices, each with the disks below it. */
export const diskScenarios: Record<string, DiskScenario> = {
  'a whole disk': { devices: [vdb], device: '252:16', disks: [found('vdb', false)] },
  'a whole disk that the host made read-only': {
    devices: [disk('vdb', '252:16', { offered: true })],
    device: '252:16',
    disks: [found('vdb', true)],
  },
  'a partition': { devices: [vda, vdb], device: '252:1', disks: [found('vda', false)] },
  'a partition of a sealed disk': { devices: [sealed, vdb], device: '252:1', disks: [found('vda', true)] },
  'LVM on one disk': {
    devices: [vda, { name: 'dm-0', device: '253:0', on: ['vda2'] }],
    device: '253:0',
    disks: [found('vda', false)],
  },
  'LVM on one sealed disk; its own flag says nothing': {
    devices: [sealed, { name: 'dm-0', device: '253:0', on: ['vda2'] }],
    device: '253:0',
    disks: [found('vda', true)],
  },
  'LVM that is read-only on a writable disk': {
    devices: [vda, { name: 'dm-0', device: '253:0', on: ['vda2'], readOnly: true }],
    device: '253:0',
    disks: [found('vda', false)],
  },
  'LVM over two disks, one of them sealed': {
    devices: [sealed, vdb, { name: 'dm-0', device: '253:0', on: ['vda2', 'vdb'] }],
    device: '253:0',
    disks: [found('vda', true), found('vdb', false)],
  },
  'LVM over two partitions of one disk': {
    devices: [sealed, { name: 'dm-0', device: '253:0', on: ['vda1', 'vda2'] }],
    device: '253:0',
    disks: [found('vda', true)],
  },
  'a RAID of partitions of two disks': {
    devices: [
      sealed,
      disk('vdb', '252:16', { offered: true, partitions: { vdb1: '252:17' } }),
      { name: 'md127', device: '9:127', on: ['vda2', 'vdb1'] },
    ],
    device: '9:127',
    disks: [found('vda', true), found('vdb', true)],
  },
  'dm-crypt on LVM on a RAID': {
    devices: [
      sealed,
      vdb,
      { name: 'md0', device: '9:0', on: ['vda2', 'vdb'] },
      { name: 'dm-0', device: '253:0', on: ['md0'] },
      { name: 'dm-1', device: '253:1', on: ['dm-0'] },
    ],
    device: '253:1',
    disks: [found('vda', true), found('vdb', false)],
  },
  'a SCSI disk': {
    devices: [{ name: 'sda', device: '8:0', bus: 'virtio-scsi', partitions: { sda1: '8:1' } }],
    device: '8:1',
    disks: [found('sda', false, 'virtio-scsi')],
  },
  'virtio-scsi, write-protected': protectedOn('sda', 'virtio-scsi', 'virtio-scsi', true),
  'pvscsi, write-protected': protectedOn('sda', 'pvscsi', 'scsi', true),
  'a real SCSI adapter, write-protected': protectedOn('sda', 'megasas', 'scsi', false),
  'scsi_debug, write-protected': protectedOn('sda', 'scsi_debug', 'scsi', false),
  'iSCSI, write-protected': protectedOn('sda', 'iscsi', 'scsi', false),
  'FCoE over virtio-net, write-protected': protectedOn('sda', 'fcoe', 'scsi', false),
  'a SCSI target of the guest itself, write-protected': protectedOn('sda', 'loopback', 'scsi', false),
  'virtio-scsi of VDUSE, write-protected': protectedOn('sda', 'vduse-scsi', 'virtio-scsi', false),
  'virtio-blk of VDUSE that offers read-only': protectedOn('vdb', 'vduse', 'virtio-blk', false),
  'virtio-blk on MMIO that offers read-only': protectedOn('vdb', 'virtio-mmio', 'virtio-blk', false),
  'USB, write-protected': protectedOn('sda', 'usb', 'usb', false),
  'ATA, write-protected': protectedOn('sda', 'ata', 'ata', false),
  'NVMe, read-only': protectedOn('nvme0n1', 'nvme', 'nvme', null),
  'NVMe over Fabrics, read-only': protectedOn('nvme0n1', 'nvme-loop', 'nvme', false),
  'Xen, read-only': protectedOn('xvdb', 'xen', 'xen', null),
  'a virtio disk whose flag the guest set': {
    devices: [disk('vda', '252:0', { readOnly: true, partitions })],
    device: '252:2',
    disks: [{ ...found('vda', false), readOnly: true }],
  },
  'an NVMe disk': {
    devices: [{ name: 'nvme0n1', device: '259:0', bus: 'nvme', partitions: { nvme0n1p1: '259:1' } }],
    device: '259:1',
    disks: [found('nvme0n1', false, 'nvme')],
  },
};

const flakey = { name: 'dm-1', device: '253:1', on: ['vda2'], target: 'flakey' };
const stacked = (more: Partial<StackFixture> = {}): (DiskFixture | StackFixture)[] => [
  sealed,
  { name: 'dm-0', device: '253:0', on: ['vda2'], ...more },
];
const array = (level: string, degraded = '0'): (DiskFixture | StackFixture)[] => [
  sealed,
  { name: 'md0', device: '253:0', on: ['vda2'], md: { level, degraded } },
];

/** Stacks on `vda`, which is sealed. The device 253:0 is sealed if its content is that of the disk. */
export const stackScenarios: Record<string, { devices: (DiskFixture | StackFixture)[]; sealed: boolean }> = {
  'device-mapper': { devices: stacked(), sealed: true },
  'device-mapper with other content': { devices: stacked({ target: 'flakey' }), sealed: false },
  'a device on one with other content': {
    devices: [sealed, flakey, { name: 'dm-0', device: '253:0', on: ['dm-1'] }],
    sealed: false,
  },
  'with the name and UUID of a logical volume': {
    devices: stacked({ target: 'zero', dm: { name: 'rhel-root', uuid: `LVM-${'a'.repeat(64)}` } }),
    sealed: false,
  },
  'another device has other content': {
    devices: [...stacked(), flakey],
    sealed: true,
  },
  'a disk directly, and through a device with other content': {
    devices: [sealed, flakey, { name: 'dm-0', device: '253:0', on: ['vda2', 'dm-1'] }],
    sealed: false,
  },
  ...Object.fromEntries(
    ['linear', 'raid0', 'raid1', 'raid10', 'raid5'].map((level) => [
      `an md array of level ${level}`,
      { devices: array(level), sealed: true },
    ]),
  ),
  'a degraded RAID 1': { devices: array('raid1', '1'), sealed: true },
  'a degraded RAID 5': { devices: array('raid5', '1'), sealed: false },
  'an md array of another level': { devices: array('faulty'), sealed: false },
  'a device of another kind': {
    devices: [sealed, { name: 'bcache0', device: '253:0', on: ['vda2'] }],
    sealed: false,
  },
};

/** /proc/sys/dev/cdrom/info with a drive, and another one, which can write discs. */
export const cdromInfo = (name: string, write = '0') => `CD-ROM information, Id: cdrom.c 3.20 2003/12/17

drive name:\t\tsr9\t${name}
drive speed:\t\t24\t4
Can read DVD:\t\t1\t1
Can write CD-R:\t\t1\t0
Can write CD-RW:\t1\t${write}
Can write DVD-R:\t1\t0
Can write DVD-RAM:\t1\t0
Can write MRW:\t\t1\t1
Can write RAM:\t\t1\t1

`;

/** CD-ROM drives, and whether each one is evidence that the host made its medium read-only. */
export const drives: Record<string, { drive: DiskFixture; info: string; accepted: boolean }> = {
  'SATA of QEMU': { drive: cdrom('ata'), info: cdromInfo('sr0'), accepted: true },
  'IDE of QEMU': { drive: cdrom('ide'), info: cdromInfo('sr0'), accepted: true },
  'virtio-scsi of QEMU': { drive: cdrom('virtio-scsi'), info: cdromInfo('sr0'), accepted: true },
  'pvscsi of QEMU': { drive: cdrom('pvscsi'), info: cdromInfo('sr0'), accepted: true },
  'the kernel sets its read-only flag': {
    drive: { ...cdrom('virtio-scsi'), readOnly: true },
    info: cdromInfo('sr0'),
    accepted: true,
  },
  'it can write discs': { drive: cdrom('virtio-scsi'), info: cdromInfo('sr0', '1'), accepted: false },
  'the kernel does not list it': { drive: cdrom('ata'), info: cdromInfo('sr1'), accepted: false },
  'the kernel lists nothing': { drive: cdrom('ata'), info: '', accepted: false },
  'a drive of the host that is passed through': {
    drive: cdrom('virtio-scsi', 'HL-DT-ST'),
    info: cdromInfo('sr0'),
    accepted: false,
  },
  'a drive that is passed through, with the flag': {
    drive: { ...cdrom('virtio-scsi', 'HL-DT-ST'), readOnly: true },
    info: cdromInfo('sr0'),
    accepted: false,
  },
  'without a vendor': { drive: disk('sr0', '11:0', { bus: 'ata' }), info: cdromInfo('sr0'), accepted: false },
  ...Object.fromEntries(
    (['scsi_debug', 'iscsi', 'loopback', 'usb', 'vduse-scsi', 'megasas', 'fcoe', 'ata-other'] as const).map(
      (bus) => [
        `on ${bus}, which root can create or which is no hypervisor's`,
        { drive: cdrom(bus), info: cdromInfo('sr0'), accepted: false },
      ],
    ),
  ),
  'a disk that names QEMU as its vendor': {
    drive: { ...cdrom('ata'), name: 'sda' },
    info: cdromInfo('sda'),
    accepted: false,
  },
};

function cdrom(bus: Bus, vendor = 'QEMU'): DiskFixture {
  return disk('sr0', '11:0', { bus, vendor });
}
