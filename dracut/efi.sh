# shellcheck shell=sh disable=SC2154 # variables of assemble-var and of the files that it sources
# Hides the EFI variable from which systemd reads kernel arguments. What root writes there persists across reboots.

# systemd 246 to 257: when PID 1 of the real root starts, it copies the variable from efivarfs to /run/systemd/efivars.
# PID 1 and its generators read the copy (src/basic/efivars.c, cache_efi_options_variable). Mounting an empty tmpfs over
# efivarfs keeps PID 1 from finding the variable and from mounting efivarfs. The copy that PID 1 of the initramfs made is
# emptied. Without the variable, no process is started and nothing is mounted.
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
