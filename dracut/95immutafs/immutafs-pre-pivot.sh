#!/bin/sh
# Sourced by dracut with the system's root mounted at $NEWROOT: no exit and no set -e here. What fails is in
# /run/immutafs/boot.env, and `immutafs-agent status` says it.
# Not in the kernel that kdump starts after a crash: it has a dump to write, little memory, and must not be stopped.
if [ ! -e /proc/vmcore ]; then
  /usr/libexec/immutafs/assemble-var initramfs "$NEWROOT"
  case $? in
    3) emergency_shell -n immutafs "immutafs: /var could not be assembled and ON_FAILURE=emergency" ;;
    4)
      echo "immutafs: /var could not be assembled and ON_FAILURE=poweroff" >/dev/console
      systemctl --force --force poweroff || poweroff -f
      ;;
  esac
fi
