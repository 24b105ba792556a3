#!/bin/sh
# Sourced by dracut whenever udev has settled, before its own lvm_scan.sh: no exit and no set -e here.
if [ ! -e /run/immutafs/lvmlocal.conf ]; then
  for _immutafs_file in /sys/block/sd*/ro; do
    _immutafs_ro=0
    [ -r "$_immutafs_file" ] && read -r _immutafs_ro <"$_immutafs_file"
    if [ "$_immutafs_ro" = 1 ]; then
      /usr/libexec/immutafs/lvm-readonly
      break
    fi
  done
  unset _immutafs_file _immutafs_ro
fi
