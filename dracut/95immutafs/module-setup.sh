#!/bin/bash
# shellcheck disable=SC2154 # dracut sets moddir, initdir and systemdsystemunitdir
# dracut module that installs the udev rule, which propagates the read-only state through device-mapper, and the hook
# that assembles /var. Uses only functions that dracut 033 has (dracut.modules(7)).

check() {
  type -P modprobe >/dev/null
}

depends() {
  return 0
}

# Installs the overlay driver even if it is not loaded now, because a sealed boot needs it.
installkernel() {
  hostonly='' instmods overlay
}

install() {
  inst_multiple modprobe sleep
  inst /usr/libexec/immutafs/immutafs-boot
  inst_rules 63-immutafs-members.rules 66-immutafs-readonly.rules
  # ON_IMPOSTOR must not be read from the root, which may be an impostor.
  [ ! -e /etc/immutafs/immutafs.conf ] || inst_simple /etc/immutafs/immutafs.conf
  inst_hook initqueue/settled 10 "$moddir/immutafs-lvm.sh"
  inst_simple "$moddir/immutafs-root.service" "$systemdsystemunitdir/immutafs-root.service"
  mkdir -p "$initdir$systemdsystemunitdir/initrd-root-fs.target.wants"
  ln -sfn ../immutafs-root.service "$initdir$systemdsystemunitdir/initrd-root-fs.target.wants/immutafs-root.service"
  inst_hook pre-pivot 10 "$moddir/immutafs-pre-pivot.sh"
  disable_resume
}

# A hibernation image in a swap area on a writable disk would restore the system that wrote it, even in maintenance mode.
# dracut's resume reads /etc/cmdline (a file in cmdline.d would start dracut-cmdline-ask.service, too). systemd's
# generator reads only the kernel command line and the EFI variable HibernateLocation, so the generator and its units are
# masked.
disable_resume() {
  local unit etc=$initdir/etc
  mkdir -p "$etc/systemd/system" "$etc/systemd/system-generators"
  echo noresume >>"$etc/cmdline"
  ln -sfn /dev/null "$etc/systemd/system-generators/systemd-hibernate-resume-generator"
  for unit in systemd-hibernate-resume.service systemd-hibernate-resume@.service; do
    ln -sfn /dev/null "$etc/systemd/system/$unit"
  done
}
