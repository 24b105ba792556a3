import type { Layout } from './layout.ts';
import type { Release } from './release.ts';

/** File system, layer under the file system, place of /var, bus, SELinux, release of Debian. */
export type LayoutRow = readonly [
  filesystem: 'xfs' | 'ext4',
  stack: Layout['stack'],
  place: 'in root' | 'separate' | 'nested',
  bus: 'virtio-blk' | 'virtio-scsi',
  selinux: 'enforcing' | 'without SELinux',
  release: Release,
];

/** The row that `smoke/sealed.test.ts` boots. */
export const smokeRow: LayoutRow = ['xfs', 'lvm', 'in root', 'virtio-blk', 'without SELinux', 'trixie'];

/** The row in which `matrix/layouts.test.ts` mounts /var and /var/log by labels, and /var/log as an automount. */
export const labelledRow: LayoutRow = [
  'ext4',
  'partition',
  'nested',
  'virtio-blk',
  'without SELinux',
  'trixie',
];

/** The rows that `matrix/layouts.test.ts` boots. */
export const matrixRows: readonly LayoutRow[] = [
  ['ext4', 'partition', 'in root', 'virtio-scsi', 'enforcing', 'trixie'],
  labelledRow,
];

/** The rows that `long/layouts.test.ts` boots. Each needs the tree of an earlier release. */
export const longRows: readonly LayoutRow[] = [
  ['ext4', 'lvm', 'separate', 'virtio-blk', 'enforcing', 'bookworm'],
  ['xfs', 'partition', 'separate', 'virtio-scsi', 'without SELinux', 'bullseye'],
  ['xfs', 'lvm', 'nested', 'virtio-scsi', 'enforcing', 'bookworm'],
];

/**
 * The rows do not contain every combination, but every pair of values of two columns occurs in a row. The releases are
 * spread over the rows.
 */
export const layoutRows: readonly LayoutRow[] = [smokeRow, ...matrixRows, ...longRows];
