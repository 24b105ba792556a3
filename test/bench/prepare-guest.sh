#!/bin/sh
# Makes this mount namespace look like a guest to be prepared, then runs a command. The guest has 100,000 files below
# /var, some of them open for writing, and a kernel with an initramfs. Must be run in a separate mount namespace
# (packaging/build/run-dist.sh).
#   prepare-guest.sh TREE IMAGE COMMAND [ARGUMENT…]
# TREE: the root of a guest with the package installed. IMAGE: the initramfs.
set -eu
tree=$1 image=$2
shift 2
mount -t tmpfs bench /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay -o lowerdir=/usr/lib,upperdir=/mnt/upper,workdir=/mnt/work bench /usr/lib
umount -l /mnt
mkdir -p /usr/lib/dracut/modules.d
cp -R "$tree/usr/lib/dracut/modules.d/95immutafs" /usr/lib/dracut/modules.d
mount -t tmpfs bench /usr/libexec
cp -R "$tree/usr/libexec/immutafs" /usr/libexec
mount -t tmpfs bench /boot
cp "$image" /boot/initramfs-6.1.0-bench.img
: >/boot/vmlinuz-6.1.0-bench
mount -t tmpfs bench /var/tmp
folder=0
while [ $folder -lt 100 ]; do
  mkdir -p "/var/tmp/$folder"
  (cd "/var/tmp/$folder" && seq 1000 | xargs touch)
  folder=$((folder + 1))
done
exec 7>>/var/tmp/0/1 8>>/var/tmp/50/1 9>>/var/tmp/99/1000
exec "$@"
