/** What the initramfs left, where it leaves the rest to late boot. */
export const bootEnv = (mode: string, disks = 'vda:1:virtio-feature') =>
  `VERSION=0.1.0\nSTAGE=initramfs\nUPTIME=1.00\nMODE=${mode}\nREASON=test\nDISKS=${disks}\nVAR=deferred\nON_FAILURE=degraded\n`;

export const late = (target: string) => `sh /usr/libexec/immutafs/assemble-var late ${target}`;

/**
 * A file system in /volume, on a loop device that /sys shows as one on the disk `on`, and fstab's line for it.
 * Its device node is a file of this machine, so the tests do not run at the same time as each other.
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
# It goes when the last one who has it open does (loop(4), LO_FLAGS_AUTOCLEAR).
exec 9<"$loop"
losetup -d "$loop"
ln -s "$(readlink /sys/class/block/${on})" "/sys/class/block/\${loop##*/}"
echo "$loop ${target} ext4 noatime 0 0" >/etc/fstab
`;

/** No module is found, neither by kmod's modprobe nor by busybox'. */
export const noModules = 'rm -rf /usr/lib/modules';
/** What is said then of the overlay's. */
export const noOverlay =
  /the kernel has no overlay file system: modprobe failed: modprobe: .*\(modprobe overlay\)$/;
