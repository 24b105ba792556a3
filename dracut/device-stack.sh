# shellcheck shell=sh disable=SC2034,SC2154 # the callers read the variables
# Finds the block devices under a mount, down to the disks. Source after immutafs-lib.sh and block-devices.sh.

# Sets mounted (kernel name of the device that is mounted at $1), stack (that device and all devices under it, each
# followed by a space) and disks. All are empty for a mount without a device. Reads mount_dev and mount_type, which
# find_mount sets.
trace_mount() { # $1: target
  mounted='' stack='' disks=''
  case $mount_dev in
    '') return ;;
    0:*)
      [ "$mount_type" = btrfs ] || return 0
      trace_btrfs "$1"
      ;;
    *)
      name_of_number "$mount_dev"
      mounted=$name
      [ -n "$mounted" ] && trace "$mounted"
      ;;
  esac
}

# The device number of a Btrfs mount belongs to no block device, but its source is one of its devices
# (fs/btrfs/super.c).
trace_btrfs() { # $1: target
  while read -r _ _ _ _ where rest; do
    [ "$where" = "$1" ] || continue
    rest=${rest#* - }
    rest=${rest#* }
    kernel_name "${rest%% *}" && mounted=$name
  done </proc/self/mountinfo
  [ -n "$mounted" ] || return 0
  for folder in /sys/fs/btrfs/*/devices; do
    [ -e "$folder/$mounted" ] || continue
    for member in "$folder"/*; do
      trace "${member##*/}"
    done
    return
  done
  trace "$mounted"
}

trace() { # $1: kernel name
  case " $stack" in *" $1 "*) return ;; esac
  stack="$stack$1 "
  if [ -e "/sys/class/block/$1/partition" ]; then
    for parent in /sys/class/block/*/"$1"; do
      parent=${parent%/*}
      trace "${parent##*/}"
      return
    done
  fi
  set -- "$1" "/sys/class/block/$1"/slaves/*
  if [ -e "$2" ]; then
    shift
    for below; do
      trace "${below##*/}"
    done
  else
    find_disks "/sys/class/block/$1"
  fi
}

# Whether a device is part of the stack under the root. If the root has no device (an overlay that the initramfs
# mounted), every mounted device counts as part of the stack.
is_in_stack() { # $1: device node; sets name to its kernel name
  kernel_name "$1" || return 1
  case " $stack" in *" $name "*) return 0 ;; esac
  [ -z "$stack" ] && read -r number <"/sys/class/block/$name/dev" || return 1
  case $mounts in *" $number "*) return 0 ;; esac
  return 1
}

is_sealed_device() { # $1: kernel name
  all=$disks disks=''
  find_disks "/sys/class/block/$1"
  all_sealed
  set -- $?
  disks=$all
  return "$1"
}

has_in_stack() { # $1: ID_FS_TYPE
  for part in $stack; do
    read_udev_data "$part"
    [ "$fs_type" != "$1" ] || return 0
  done
  return 1
}
