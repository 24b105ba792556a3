import type { Layout } from './layout.ts';

/** File system, layer under the file system, place of /var, bus, SELinux. */
export type LayoutRow = readonly [
  filesystem: 'xfs' | 'ext4',
  stack: Layout['stack'],
  place: 'in root' | 'separate' | 'nested',
  bus: 'virtio-blk' | 'virtio-scsi',
  selinux: 'enforcing' | 'without SELinux',
];

/** The row that `smoke/sealed.test.ts` boots. */
export const smokeRow: LayoutRow = ['xfs', 'lvm', 'in root', 'virtio-blk', 'without SELinux'];

/** The row in which `matrix/layouts.test.ts` mounts /var and /var/log by labels, and /var/log as an automount. */
export const labelledRow: LayoutRow = ['ext4', 'partition', 'nested', 'virtio-blk', 'without SELinux'];

/** The rows that `matrix/layouts.test.ts` boots. */
export const matrixRows: readonly LayoutRow[] = [
  ['ext4', 'partition', 'in root', 'virtio-scsi', 'enforcing'],
  ['xfs', 'partition', 'separate', 'virtio-scsi', 'without SELinux'],
  ['ext4', 'lvm', 'separate', 'virtio-blk', 'enforcing'],
  ['xfs', 'lvm', 'nested', 'virtio-scsi', 'enforcing'],
  labelledRow,
];

/** The rows do not contain every combination, but every pair of values of two columns occurs in a row. */
export const layoutRows: readonly LayoutRow[] = [smokeRow, ...matrixRows];
