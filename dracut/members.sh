# shellcheck shell=sh disable=SC2034,SC2154 # the callers read the variables; uuid is set by block-devices.sh
# Finds copies of sealed members of md arrays and Btrfs file systems. Source after block-devices.sh and device-stack.sh.

# Whether the sealed members of an md array or Btrfs file system are complete, so that a writable device cannot be a
# member. If they are not complete, the array or file system spans sealed and writable disks. Sets genuine to a sealed
# member, and identity.
is_complete_when_sealed() { # $1: md or btrfs; $2: ID_FS_UUID_ENC
  count=0
  for link in "/dev/block/immutafs/member/$2"/*; do
    [ ! -b "$link" ] || count=$((count + 1)) sealed_member=/dev/${link##*/}
  done
  [ "$count" -gt 0 ] || return 1
  count_members "$1"
  # An unknown count (0) is treated as complete, so that the writable member is rejected.
  [ "$count" -ge "$members" ] && genuine=$sealed_member identity=UUID=$2
}

# Sets members to the number of members, or to 0 if it is unknown. Reads it from a sealed member, because an array or file
# system that is in use has the number that its newest member has, which may be the copy.
count_members() { # $1: md or btrfs; reads sealed_member
  members=0
  if [ "$1" = md ]; then
    while IFS='=' read -r word value; do
      [ "$word" != MD_DEVICES ] || members=$value
    done <<EOT
$(mdadm --examine --export "$sealed_member" 2>/dev/null)
EOT
  else
    # num_devices in the first superblock (fs/btrfs: struct btrfs_super_block, BTRFS_SUPER_INFO_OFFSET)
    read -r members <<EOT
$(od -A n -t u8 -j 65672 -N 8 "$sealed_member" 2>/dev/null)
EOT
    members=${members:-0}
  fi
}

# Whether a member that is not sealed is used without any sealed member of the same md array or Btrfs file system. The
# kernel prefers the members with the highest event count or generation, and root can raise those of a writable member
# of an array that spans sealed and writable disks. Sets genuine to a sealed member, and identity. Reads stack.
runs_without_sealed_member() { # $1: ID_FS_UUID_ENC
  genuine=''
  for link in "/dev/block/immutafs/member/$1"/*; do
    [ -b "$link" ] || continue
    genuine=/dev/${link##*/} identity=UUID=$1
    case " $stack" in *" ${link##*/} "*) return 1 ;; esac
  done
  [ -n "$genuine" ]
}

# Stops the arrays that contain a copy of a sealed member, unless they are part of the stack under the root. udev in the
# real root then assembles them from their sealed members (63-immutafs-members.rules). An array that is in use cannot be
# stopped.
stop_foreign_arrays() { # reads stack
  [ -e /dev/block/immutafs/member ] || return 0
  for array in /sys/class/block/md*/md; do
    array=${array%/md} array=${array##*/}
    case " $stack" in *" $array "*) continue ;; esac
    for member in "/sys/class/block/$array"/slaves/*; do
      member=${member##*/}
      if [ "$member" = '*' ] || is_sealed_device "$member"; then continue; fi
      read_udev_data "$member"
      if is_complete_when_sealed md "$uuid"; then
        found_array=1 in_use=''
        mdadm --stop "/dev/$array" >/dev/null 2>&1 || in_use=1
        note_impostor "/dev/$member" "$genuine" "$identity" "$in_use"
        [ -z "$in_use" ] ||
          warn "/dev/$array contains /dev/$member, a copy of $genuine, and is in use: detach the disk of /dev/$member"
        break
      fi
    done
  done
}

# Makes the kernel forget the copies of sealed members that udev found before the sealed members, and lets udev add the
# sealed members, which the kernel had rejected. For use before the root is mounted.
release_foreign_members() {
  [ -e /dev/block/immutafs/member ] || return 0
  stack='' released='' found_array=''
  stop_foreign_arrays
  for link in /dev/block/immutafs/md/*; do
    if [ -z "$found_array" ] || ! [ -b "$link" ]; then continue; fi
    # A member of a running array has a holder.
    set -- "/sys/class/block/${link##*/}"/holders/*
    [ -e "$1" ] || add_again "${link##*/}"
  done
  for device in /sys/class/block/*; do
    device=${device##*/}
    read_udev_data "$device"
    if [ "$fs_type" != btrfs ] || is_sealed_device "$device"; then continue; fi
    is_complete_when_sealed btrfs "$uuid" || continue
    note_impostor "/dev/$device" "$genuine" "$identity"
    # The kernel has this request since version 5.1. Without it, the kernel may reject the sealed member, and the boot
    # ends.
    btrfs device scan --forget "/dev/$device" >/dev/null 2>&1
    for link in "/dev/block/immutafs/member/$uuid"/*; do
      add_again "${link##*/}"
    done
  done
  [ -z "$released" ] || udevadm settle --timeout=25
}

add_again() { # $1: kernel name of a sealed member
  case " $released" in *" $1 "*) return ;; esac
  released="$released$1 "
  echo add >"/sys/class/block/$1/uevent"
}
