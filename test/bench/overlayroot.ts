import { join } from 'node:path';
import { bootFilesIn } from '../vm/harness/kernel.ts';
import type { BootFiles } from '../vm/harness/kernel.ts';
import { debianTree } from '../vm/harness/tree.ts';

/** The ordinary guest with initramfs-tools instead of dracut, because overlayroot does not work with dracut. */
export interface OverlayrootGuest {
  tree: string;
  /** The boot files without overlayroot. */
  plain: BootFiles;
  overlayroot: BootFiles;
}

/** Uses the drivers in the guest's dracut.conf and, as in dracut.conf, no compression. */
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
 * Returns the boot files of one guest without and with overlayroot. overlayroot is installed from Debian's package and
 * works only in the initramfs.
 *
 * cryptsetup is installed because the package adds it to every initramfs that contains overlayroot, used or not.
 */
export async function overlayrootGuest(): Promise<OverlayrootGuest> {
  const packages = ['initramfs-tools', 'overlayroot', 'cryptsetup'];
  const tree = await debianTree('trixie', { packages, command: ['sh', '-c', make] });
  const plain = await bootFilesIn(join(tree, 'root/boot'), join(tree, 'vmlinux'));
  return { tree, plain, overlayroot: { ...plain, initramfs: join(tree, 'root/boot/overlayroot') } };
}
