#!/bin/sh
# dracut sources this file when the system's root is mounted at $NEWROOT. A sourced file must not use exit or set -e.
# Errors are recorded in /run/immutafs/boot.env, and `immutafs-agent status` reports them.
# Does nothing in the crash kernel of kdump, which must write the dump, has little memory, and must not be stopped.
if [ ! -e /proc/vmcore ]; then
  /usr/libexec/immutafs/assemble-var initramfs "$NEWROOT"
  immutafs_exit_code=$?
  case $immutafs_exit_code in
    3) emergency_shell -n immutafs "immutafs: /var could not be assembled and ON_FAILURE=emergency" ;;
    4)
      echo "immutafs: /var could not be assembled and ON_FAILURE=poweroff" >/dev/console
      systemctl --force --force poweroff || poweroff -f
      ;;
    5 | 6)
      # Never run the mounted system, even if the shell or the power-off fails. emergency_shell runs in a subshell,
      # because it may call exit.
      [ "$immutafs_exit_code" = 6 ] || (emergency_shell -n immutafs "immutafs: the system is mounted from an impostor of the sealed disk, or this is unknown")
      while :; do
        systemctl --force --force poweroff || poweroff -f
        sleep 10
      done
      ;;
  esac
fi
