/**
 * The layouts of `layouts.test.ts`: file system, what lies under it, place of /var, bus, SELinux. Not the whole product,
 * but every two values of two columns meet in a row.
 */
export const layoutRows = [
  ['xfs', 'lvm', 'in root', 'virtio-blk', 'without SELinux'],
  ['ext4', 'partition', 'in root', 'virtio-scsi', 'enforcing'],
  ['xfs', 'partition', 'separate', 'virtio-scsi', 'without SELinux'],
  ['ext4', 'lvm', 'separate', 'virtio-blk', 'enforcing'],
  ['xfs', 'lvm', 'nested', 'virtio-scsi', 'enforcing'],
  ['ext4', 'partition', 'nested', 'virtio-blk', 'without SELinux'],
] as const;
