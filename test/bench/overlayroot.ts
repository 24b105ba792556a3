import { join } from 'node:path';
import { bootFilesIn } from '../vm/harness/kernel.ts';
import type { BootFiles } from '../vm/harness/kernel.ts';
import { ordinaryTree } from '../vm/harness/tree.ts';

/** The ordinary guest with initramfs-tools in place of dracut, with which overlayroot does not work. */
export interface OverlayrootGuest {
  tree: string;
  /** Without overlayroot. */
  plain: BootFiles;
  overlayroot: BootFiles;
}

/** The drivers are those of the guest's dracut.conf; nothing is compressed there either. */
const make = `
set -e
printf '%s\\n' virtio_pci virtio_blk virtio_scsi sd_mod xfs ext4 dm_mod dm_crypt raid1 >/etc/initramfs-tools/modules
printf '%s\\n' MODULES=list COMPRESS=cat >/etc/initramfs-tools/conf.d/bench
kernel=$(ls /usr/lib/modules)
mkinitramfs -o /boot/overlayroot "$kernel"
dpkg --purge overlayroot
mkinitramfs -o "/boot/initrd.img-$kernel" "$kernel"
`;

/**
 * Both boot files of one guest. overlayroot is of Debian's package; all that it does is in the initramfs.
 *
 * cryptsetup: the package has it in every initramfs that overlayroot is in, used or not.
 */
export async function overlayrootGuest(): Promise<OverlayrootGuest> {
  const packages = ['initramfs-tools', 'overlayroot', 'cryptsetup'];
  const tree = await ordinaryTree({ packages, command: ['sh', '-c', make] });
  const plain = await bootFilesIn(join(tree, 'root/boot'), join(tree, 'vmlinux'));
  return { tree, plain, overlayroot: { ...plain, initramfs: join(tree, 'root/boot/overlayroot') } };
}
