#!/bin/sh
# dracut-initqueue sources this file whenever udev has settled, before the job that activates LVM (64-lvm.rules). A
# sourced file must not use exit or set -e. Starts a process only if there is a physical volume on a read-only SCSI
# disk, or if there is one on a sealed disk and an unsealed device.
immutafs_volumes=' '
for immutafs_volume in /dev/block/immutafs/lvm/* /dev/block/immutafs/read-only-lvm/* /dev/block/immutafs/unsealed-lvm/* \
  /dev/block/immutafs/unsealed/*; do
  [ ! -b "$immutafs_volume" ] || immutafs_volumes="$immutafs_volumes$immutafs_volume "
done
case $immutafs_volumes in
  "$immutafs_volumes_seen") ;;
  *' /dev/block/immutafs/lvm/sd'* | *' /dev/block/immutafs/read-only-lvm/'* | *' /dev/block/immutafs/lvm/'*' /dev/block/immutafs/unsealed'*)
    /usr/libexec/immutafs/immutafs-boot lvm-config
    immutafs_volumes_seen=$immutafs_volumes
    ;;
esac
unset immutafs_volume immutafs_volumes
