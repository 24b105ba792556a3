#!/bin/sh
# dracut sources this file when the system's root is mounted at $NEWROOT. A sourced file must not use exit or set -e.
# Errors are recorded in /run/immutafs/boot.env, and `immutafs-agent status` reports them. boot/initramfs/endings.ts has the exit codes.
# Does nothing in the crash kernel of kdump, which must write the dump, has little memory, and must not be stopped.
if [ ! -e /proc/vmcore ]; then
  /usr/libexec/immutafs/immutafs-boot initramfs "$NEWROOT"
  immutafs_code=$? immutafs_end='' immutafs_shell=''
  # sh runs an empty file, such as a power cut may leave, as a script that succeeds.
  [ -e /run/immutafs/boot.env ] || case $immutafs_code in 0 | 1) immutafs_code="$immutafs_code without a record" ;; esac
  case $immutafs_code in
    0 | 1) ;;
    10) immutafs_shell='immutafs: /var could not be assembled and ON_FAILURE=emergency' ;;
    11) immutafs_end='immutafs: /var could not be assembled and ON_FAILURE=poweroff' ;;
    12)
      immutafs_shell='immutafs: the system is mounted from a copy of the sealed disk, or the boot could not rule this out: see the message above'
      immutafs_end=$immutafs_shell
      ;;
    13) immutafs_end='immutafs: the system is mounted from a copy of the sealed disk, or the boot could not rule this out: see the message above' ;;
    *)
      # A fault that nobody planned: ON_FAILURE applies, and power-off while it is unknown. immutafs=off is the rescue.
      immutafs_end="immutafs: immutafs-boot failed (exit code $immutafs_code)"
      read -r immutafs_on_failure 2>/dev/null </run/immutafs/on-failure || immutafs_on_failure=poweroff
      read -r immutafs_cmdline </proc/cmdline
      case " $immutafs_cmdline " in *' immutafs=off '*) immutafs_on_failure=degraded ;; esac
      case $immutafs_on_failure in
        degraded) echo "$immutafs_end; the boot continues" >/dev/console; immutafs_end='' ;;
        emergency) immutafs_shell=$immutafs_end immutafs_end='' ;;
        *) immutafs_end="$immutafs_end. To boot without it, add the kernel argument immutafs=off" ;;
      esac
      ;;
  esac
  # emergency_shell runs in a subshell, because it may call exit.
  [ -z "$immutafs_shell" ] || (emergency_shell -n immutafs "$immutafs_shell")
  # Never continue, even if the shell or the power-off fails.
  while [ -n "$immutafs_end" ]; do
    echo "$immutafs_end; the machine powers off" >/dev/console
    systemctl --force --force poweroff || poweroff -f
    sleep 10
  done
fi
