/** Returns the boot.env of an initramfs that defers /var to late boot. */
export const bootEnv = (mode: string, disks = 'vda:1:virtio-feature') =>
  `VERSION=0.1.0\nSTAGE=initramfs\nUPTIME=1.00\nMODE=${mode}\nREASON=test\nDISKS=${disks}\nVAR=deferred\nON_FAILURE=degraded\n`;

export const late = (target: string) => `/usr/libexec/immutafs/immutafs-boot late ${target}`;

/**
 * Returns lines of bash that make a file system in the image /volume, on a loop device that is on the disk `on`
 * according to /sys, and write an fstab with its line.
 *
 * @param damage lines of bash that damage it
 */
export const volume = (on: 'vda' | 'vdb', target: string, damage = '') => `
mkdir -p /content/lib /var/log /etc; echo volume >/content/lib/y
truncate -s 8m /volume; mkfs.ext4 -q -E root_owner=5:6 -d /content /volume
${damage}
mount -t sysfs sys /sys
loop=$(losetup -f --show /volume)
umount /sys
# The kernel releases the loop device when the last process closes it (loop(4), LO_FLAGS_AUTOCLEAR).
exec 9<"$loop"
losetup -d "$loop"
ln -s "$(readlink /sys/class/block/${on})" "/sys/class/block/\${loop##*/}"
echo "$loop ${target} ext4 noatime 0 0" >/etc/fstab
`;

/** Lines of bash after which neither modprobe of kmod nor that of busybox finds a module. */
export const noModules = 'rm -rf /usr/lib/modules';
/** The error of the overlay after `noModules`. */
export const noOverlay = /the kernel has no overlay file system: modprobe failed: modprobe: /;
