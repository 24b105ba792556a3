#!/bin/sh
# Sourced by dracut with the system's root mounted at $NEWROOT: no exit and no set -e here. What fails is in
# /run/immutafs/boot.env, and `immutafs-agent status` says it.
# Not in the kernel that kdump starts after a crash: it has a dump to write, little memory, and must not be stopped.
if [ ! -e /proc/vmcore ]; then
  /usr/libexec/immutafs/assemble-var initramfs "$NEWROOT"
  immutafs_answer=$?
  case $immutafs_answer in
    3) emergency_shell -n immutafs "immutafs: /var could not be assembled and ON_FAILURE=emergency" ;;
    4)
      echo "immutafs: /var could not be assembled and ON_FAILURE=poweroff" >/dev/console
      systemctl --force --force poweroff || poweroff -f
      ;;
    5 | 6)
      # What is mounted must not be run, whatever the shell and the power-off do. In a shell of its own, since
      # emergency_shell may exit.
      [ "$immutafs_answer" = 6 ] || (emergency_shell -n immutafs "immutafs: the system is mounted from an impostor of the sealed disk")
      while :; do
        systemctl --force --force poweroff || poweroff -f
        sleep 10
      done
      ;;
  esac
fi
