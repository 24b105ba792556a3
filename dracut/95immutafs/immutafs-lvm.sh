#!/bin/sh
# Sourced by dracut-initqueue whenever udev has settled, before the job that activates LVM (64-lvm.rules): no exit and
# no set -e here, and no process where no physical volume on a writable disk is beside one that the host made read-only.
immutafs_volumes=' '
for immutafs_volume in /dev/immutafs/lvm/* /dev/immutafs/unsealed-lvm/*; do
  [ ! -b "$immutafs_volume" ] || immutafs_volumes="$immutafs_volumes$immutafs_volume "
done
case $immutafs_volumes in
  "$immutafs_volumes_seen") ;;
  *' /dev/immutafs/lvm/sd'* | *' /dev/immutafs/lvm/'*' /dev/immutafs/unsealed-lvm/'*)
    /usr/libexec/immutafs/lvm-readonly
    immutafs_volumes_seen=$immutafs_volumes
    ;;
esac
unset immutafs_volume immutafs_volumes
