/**
 * The layouts of `layouts.test.ts`: file system, layer under the file system, place of /var, bus, SELinux. The rows do
 * not contain every combination, but every pair of values of two columns occurs in a row.
 */
export const layoutRows = [
  ['xfs', 'lvm', 'in root', 'virtio-blk', 'without SELinux'],
  ['xfs', 'partition', 'in root', 'virtio-blk', 'without SELinux'],
  ['ext4', 'partition', 'in root', 'virtio-scsi', 'enforcing'],
  ['xfs', 'partition', 'separate', 'virtio-scsi', 'without SELinux'],
  ['ext4', 'lvm', 'separate', 'virtio-blk', 'enforcing'],
  ['xfs', 'lvm', 'nested', 'virtio-scsi', 'enforcing'],
  ['ext4', 'partition', 'nested', 'virtio-blk', 'without SELinux'],
] as const;
