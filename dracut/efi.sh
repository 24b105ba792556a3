# shellcheck shell=sh disable=SC2154 # of assemble-var and the other parts of it
# The EFI variable from which systemd takes kernel arguments. Whatever root writes there outlives a reboot.

# systemd 246 to 257: when it starts, PID 1 of the real root copies the variable from efivarfs to /run/systemd/efivars,
# and it and its generators read the copy (src/basic/efivars.c, cache_efi_options_variable). efivarfs is covered, so that
# PID 1 finds no variable and mounts nothing there, and the copy made by PID 1 of the initramfs is emptied. Without the
# variable, nothing is run or mounted.
hide_systemd_options() {
  efivars=/sys/firmware/efi/efivars
  options=SystemdOptions-8cf2644b-4b0b-428f-9387-6d876050dc67
  cached=/run/systemd/efivars/$options
  [ -e "$efivars/$options" ] || [ -e "$cached" ] || return 0
  effect='the rest of the boot does not see it'
  { [ ! -e "$cached" ] || : >"$cached"; } &&
    mount -t tmpfs -o ro,nosuid,nodev,noexec,size=4k,mode=0555 immutafs "$efivars" ||
    effect='it could not be hidden and is in effect'
  append_boot_env "WARNING=the EFI variable SystemdOptions is set, which adds kernel arguments: $effect"
}
