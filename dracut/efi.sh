# shellcheck shell=sh disable=SC2154 # variables of assemble-var and of the files that it sources
# Hides the EFI variable from which systemd reads kernel arguments. Root can write the variable, and its value persists
# across reboots.

# systemd 246 to 257: when PID 1 of the real root starts, it copies the variable from efivarfs to /run/systemd/efivars.
# PID 1 and its generators read the copy (src/basic/efivars.c, cache_efi_options_variable). This function mounts an
# empty tmpfs over efivarfs, so that PID 1 neither finds the variable nor mounts efivarfs, and empties the copy that PID
# 1 of the initramfs made. If the variable does not exist, the function starts no process and mounts nothing.
hide_systemd_options() {
  efivars=/sys/firmware/efi/efivars
  options=SystemdOptions-8cf2644b-4b0b-428f-9387-6d876050dc67
  cached=/run/systemd/efivars/$options
  [ -e "$efivars/$options" ] || [ -e "$cached" ] || return 0
  effect='the rest of the boot does not see it'
  # Not with ":", because a failed redirection of a special builtin ends the shell.
  { [ ! -e "$cached" ] || printf '' >"$cached"; } &&
    mount -t tmpfs -o ro,nosuid,nodev,noexec,size=4k,mode=0555 immutafs "$efivars" ||
    effect='it could not be hidden and is in effect'
  append_boot_env "WARNING=the EFI variable SystemdOptions is set, which adds kernel arguments: $effect"
}
