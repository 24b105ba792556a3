# shellcheck shell=sh disable=SC2034,SC2154 # variables of assemble-var, immutafs-generator and config.sh
# Sets the mount options of MOUNT_OPTIONS in a sealed boot. The initramfs does so where the mounts exist already: for
# directories in the overlay on /var, /dev, /dev/shm and /run. For all others, immutafs-generator writes units.

# The beginning of a command in the generator's units.
set_mount_options='/usr/libexec/immutafs/make-mounts options'

# Sets option_items to the items of MOUNT_OPTIONS as path:options, with the item `strict` expanded. Of several items for
# a path, all options are set. Device files on /dev must remain usable.
expand_mount_options() {
  option_items=" $conf_MOUNT_OPTIONS "
  case $option_items in *' strict '*) ;; *) return 0 ;; esac
  replace "$option_items" ' strict ' ' '
  option_items="/dev:noexec,nosuid "
  for place in /run /dev/shm '/run/user/*' /var /var/tmp /var/log /tmp /home; do
    option_items="$option_items$place:noexec,nosuid,nodev "
  done
  option_items=$option_items$replaced
}

# Reads $root, $var and `mounts`. On failure, adds a WARNING to boot.env; the check mount-options fails in any case.
set_mount_options_early() {
  expand_mount_options
  items_left=$option_items
  set --
  read_fstab_targets "$root/etc/fstab"
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

# Sets item_path and item_options to the next item of items_left, and removes it from there; returns false if there is none.
next_option_item() {
  items_left=${items_left#"${items_left%%[! ]*}"}
  [ -n "$items_left" ] || return 1
  item_options=${items_left%% *}
  items_left=${items_left#"$item_options"}
  item_path=${item_options%%:*} item_options=${item_options#*:}
}

# Sets fstab_targets to the targets, separated by newlines, that fstab mounts at boot. $1: the file.
read_fstab_targets() {
  fstab_targets='
'
  [ -r "$1" ] || return 0
  while read_fstab_line; do
    case ,$options, in *,noauto,*) continue ;; esac
    fstab_targets="$fstab_targets$target
"
  done <"$1"
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
