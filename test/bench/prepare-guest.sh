#!/bin/sh
# Makes this mount namespace look like a guest to be prepared, then runs a command: 100,000 files below /var, some of
# them open for writing, and a kernel with an initramfs. Only for a namespace of its own (packaging/run-dist.sh).
#   prepare-guest.sh SCRIPTS IMAGE COMMAND [ARGUMENT…]
set -eu
scripts=$1 image=$2
shift 2
mount -t tmpfs bench /mnt
mkdir /mnt/immutafs
cp "$scripts"/* /mnt/immutafs
cp "$image" /mnt/initramfs-6.1.0-bench.img
mount -t tmpfs bench /boot
mv /mnt/initramfs-6.1.0-bench.img /boot
: >/boot/vmlinuz-6.1.0-bench
mkdir -p /usr/libexec
mount --move /mnt /usr/libexec
mount -t tmpfs bench /var/tmp
folder=0
while [ $folder -lt 100 ]; do
  mkdir -p "/var/tmp/$folder"
  (cd "/var/tmp/$folder" && seq 1000 | xargs touch)
  folder=$((folder + 1))
done
exec 7>>/var/tmp/0/1 8>>/var/tmp/50/1 9>>/var/tmp/99/1000
exec "$@"
