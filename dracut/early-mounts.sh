# shellcheck shell=sh
# Functions for the mounts that the initramfs makes in addition to /var: the LVM configuration of this boot,
# read-only file systems in fstab, mount options, and what hides EFI variables.

# Bind-mounts the LVM configuration of this boot over lvmlocal.conf of the real root, so that LVM does not try to make
# read-only volumes writable. On virtio-blk, LVM would succeed and reload the table of the root while the root is in
# use.
bind_lvmlocal() {
  local_conf=$root/etc/lvm/lvmlocal.conf
  # Without LVM there is nothing to configure.
  [ -d "${local_conf%/*}" ] || return 0
  "$parts/immutafs-boot" lvm-local "$root" "$mode"
  case $? in
    0) lvmlocal=/run/immutafs/lvmlocal.conf ;;
    1) return 0 ;;
    *) lvmlocal='' ;;
  esac
  if [ -z "$lvmlocal" ]; then
    lvm_warning='/run/immutafs/lvmlocal.conf could not be written'
  elif [ ! -e "$local_conf" ]; then
    lvm_warning='/etc/lvm/lvmlocal.conf does not exist (an empty file is enough)'
  elif mount --bind "$lvmlocal" "$local_conf" && mount -o remount,bind,ro,nosuid,nodev,noexec "$local_conf"; then
    return
  else
    lvm_warning='/etc/lvm/lvmlocal.conf: the bind mount failed'
  fi
  append_boot_env "WARNING=$lvm_warning: LVM does not know which volumes are read-only, and may fail to activate them"
}

# Mounts the file systems that fstab mounts directly below / (such as /boot) if their disk is read-only and present.
# systemd finds these mounts when it starts. If systemd mounted the file systems itself, the boot would wait until
# systemd notices the new mounts, because it reads mountinfo at most five times a second (systemd, src/core/mount.c).
mount_read_only_early() {
  read_fstab "$root"
  while read_fstab_line; do
    case $type:$target in
      # find_mount cannot find a path with a character that mountinfo escapes.
      *:/?*/* | *:/var | *[[:space:]]* | *\\*) continue ;;
      xfs:/?* | ext[34]:/?*) ;;
      *) continue ;;
    esac
    case ",$options," in *,noauto,* | *,x-systemd.automount,* | *,comment=systemd.automount,*) continue ;; esac
    # Late boot mounts a file system of OVERLAY as a lower layer.
    case " $conf_OVERLAY " in *" $target "* | *" $target:"*) continue ;; esac
    { [ -n "$is_device" ] && is_read_only_source "$source"; } || continue
    find_mount "$root$target"
    [ -n "$mount_dev" ] || mount_read_only "$plain_options" "$type" "$node" "$root$target"
  done
}

# Reads $root, $var and `mounts`. On failure, adds a WARNING to boot.env; the check mount-options fails in any case.
set_mount_options_early() {
  items_left=$option_items
  set --
  read_fstab_targets
  while next_option_item; do
    case $item_path in
      # systemd mounts it for each user.
      '/run/user/*') continue ;;
      /dev | /dev/* | /run | /run/*)
        find_mount "$item_path"
        [ -z "$mount_dev" ] || set -- "$@" options "$item_options" "$item_path"
        ;;
      /var | /var/*)
        { [ "$var" = overlay ] && ! is_mounted_by_fstab; } || continue
        set -- "$@" options "$item_options" "$root$item_path"
        ;;
    esac
  done
  [ $# -gt 0 ] || return 0
  "$parts/make-mounts" "$@" ||
    append_boot_env "WARNING=MOUNT_OPTIONS could not be set everywhere; see the messages of make-mounts on the console"
}

# Sets fstab_targets to the targets, separated by newlines, that fstab mounts at boot.
read_fstab_targets() { # reads root
  fstab_targets=$newline
  read_fstab "$root"
  while read_fstab_line; do
    case ,$options, in *,noauto,*) continue ;; esac
    fstab_targets="$fstab_targets$target$newline"
  done
}

# Whether fstab mounts a file system on $item_path or on a directory between /var and $item_path.
is_mounted_by_fstab() {
  above=$item_path
  while [ "$above" != /var ]; do
    case $fstab_targets in *"
$above
"*) return 0 ;; esac
    above=${above%/*}
  done
  return 1
}

# Sets item_path and item_options to the next item of items_left, and removes it from there; returns false if there is none.
next_option_item() {
  items_left=${items_left#"${items_left%%[! ]*}"}
  [ -n "$items_left" ] || return 1
  item_options=${items_left%% *}
  items_left=${items_left#"$item_options"}
  item_path=${item_options%%:*} item_options=${item_options#*:}
}

# Hides the EFI variable from which systemd reads kernel arguments. Root can write the variable, and its value persists
# across reboots.
#
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
