# shellcheck shell=sh disable=SC2034,SC2154 # variables of assemble-var and of the files that it sources
# Mounts an overlay on a directory of OVERLAY in late boot, for assemble-var. Source after overlays.sh.

# Mounts the overlay on a path whose file system the initramfs could not mount.
assemble_overlay_late() { # $1: path
  is_overlay_path "$1" || return 0
  read_mounts
  find_mount "$1"
  [ "$mount_type" != overlay ] || return 0
  append_boot_env "OVERLAY=$1 begun"
  path=$1 root='' state=failed why='' error=''
  if examine_late "$1" && mount_late "$1"; then
    copy_label "$lower" "$1"
    append_boot_env "OVERLAY=$1 overlay"
    return 0
  fi
  why=${why:-$error}
  append_boot_env "OVERLAY=$1 $state $why"
  printf 'immutafs: OVERLAY: %s: %s\n' "$1" "$why" >&2
  [ "$state" = unneeded ]
}

# Whether an overlay can be mounted on a path; sets lower, and view if its file system has to be mounted there first. If
# not, sets state, and why or error.
examine_late() { # $1: path
  state=refused
  ! is_refused "$1" || return 1
  state=failed
  ! has_link '' "$1" || return 1
  if find_fstab '' "$1"; then
    find_volume "$1"
    return
  fi
  is_usable '' "$1" && find_view "$1"
}

# A file system that fstab mounts on the path itself: it becomes the lower layer and is not mounted there.
find_volume() { # $1: path
  if [ -n "$mount_dev" ]; then
    why="it is mounted already ($mount_type): remove x-initrd.mount from its line in /etc/fstab"
    return 1
  fi
  source_node "$fstab_source"
  [ -b "$node" ] || fail "$fstab_source does not exist" || return 1
  if ! is_sealed_source "$fstab_source"; then
    state=unneeded why="it is on a disk that the host left writable ($fstab_source)"
    return 1
  fi
  name_layers "$1"
  lower=$run/below/$name view=$lower
}

# A directory of a file system that is mounted on the root or on a directory between.
find_view() { # $1: path
  above=${1%/*}
  while :; do
    name_layers "$above"
    view=$run/below/$name
    [ -n "$above" ] || view=$overlay_view
    lower=$view${1#"$above"}
    find_mount "$view"
    if [ -n "$mount_dev" ]; then
      view=''
      return
    fi
    find_mount "${above:-/}"
    # An overlay of OVERLAY is not the file system itself.
    if [ -n "$mount_dev" ] && { [ "$mount_type" != overlay ] || ! is_overlay_path "$above"; }; then
      view_of=${above:-/}
      is_on_sealed_disk
      return
    fi
    [ -n "$above" ] || return 1
    above=${above%/*}
  done
}

# Whether a mount is on the sealed disk, as is_sealed_source. The root is, whatever its disks are. Reads mount_dev,
# mount_type and view_of. If not, sets state and why.
is_on_sealed_disk() {
  [ "$view_of" != / ] || return 0
  if [ "$mount_type" = overlay ]; then
    why="$view_of is an overlay of another program"
    return 1
  fi
  root_disks=$disks
  trace_mount "$view_of"
  own_disks=$disks disks=$root_disks state=unneeded
  for disk in $own_disks; do
    case $disk in *:1:*) return 0 ;; esac
    case " $root_disks" in *" ${disk%%:*}:"*) return 0 ;; esac
    why="$view_of is on a disk that the host left writable (${disk%%:*})"
  done
  [ -n "$own_disks" ] || why="$view_of is $mount_type, which is not on the system disk"
  return 1
}

mount_late() { # $1: path; reads lower and view
  state=failed
  find_mount "$tmpfs"
  has_tmpfs='' made_tmpfs=''
  [ "$mount_type" != tmpfs ] || has_tmpfs=1
  if load_overlay && provide_tmpfs && mount_view "$1"; then
    mount_above_view "$1" && return 0
    [ -z "$view" ] || umount "$view" 2>/dev/null
  fi
  [ -z "$made_tmpfs" ] || umount "$tmpfs" 2>/dev/null
  return 1
}

mount_view() { # $1: path
  [ -n "$view" ] || return 0
  steps="directory 0755 0:0 $run directory 0755 0:0 $run/below directory 0755 0:0 $view"
  if [ -z "$fstab_source" ]; then
    steps="$steps view ro $view_of $view"
    run_steps
  else
    run_steps || return 1
    lower_options=ro
    mount_lower_volume "$1"
  fi
}

mount_above_view() { # $1: path
  owners=$(stat -c "%h %a %u:%g $1" "$lower/." 2>/dev/null)
  steps=''
  add_overlay_steps "$1" "$lower" "$lower" && run_steps
}
