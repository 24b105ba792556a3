# shellcheck shell=sh disable=SC2034,SC2154 # variables of assemble-var and of the files that it sources
# Checks that the mounted system comes from the disk that the host made read-only, if such a disk has the same identity.
# Runs before any file of the mounted root is read, because an attacker controls the files of an impostor.

# Returns if nothing is mounted from an impostor; otherwise ends the boot.
check_identity() { # $1: mount point of the root
  IFS= read -r cmdline </proc/cmdline
  read_root_arguments "$cmdline"
  [ "$arg_MODE" != off ] || return 0
  # After this, udev's links are complete, for this script and for the generator in the real root.
  wait_for_udev 180
  read_mounts
  sealed_root=''
  find_mount "$1"
  trace_mount "$1"
  if all_sealed; then sealed_root=1; elif is_impostor "$root_source"; then end_boot "$1"; fi
  stop_foreign_arrays
  check_requested_devices "$1"
  mounts_left=$mounts
  while :; do
    case $mounts_left in
      *"
$1/"*) ;;
      *) return 0 ;;
    esac
    mounts_left=${mounts_left#*"
$1/"}
    below_root=$1/${mounts_left%% *}
    find_mount "$below_root"
    trace_mount "$below_root"
    fstab_source=''
    [ -z "$sealed_root" ] || find_fstab "$1" "${below_root#"$1"}"
    all_sealed || ! is_impostor "$fstab_source" || end_boot "$below_root"
  done
}

# Whether the device that trace_mount found poses as a sealed device. Sets genuine to the sealed device, and identity to
# the identity that both devices have.
is_impostor() { # $1: requested source as in fstab, or empty
  genuine='' identity=''
  [ -e /dev/block/immutafs ] || return 1
  if [ -n "$1" ]; then
    source_node "$1"
    [ -n "$sealed_link" ] && ! is_in_stack "$node" && genuine=/dev/$name identity=$1 && return 0
  fi
  for part in $stack; do
    is_sealed_device "$part" && continue
    has_sealed_counterpart "$part" && return 0
  done
  return 1
}

has_sealed_counterpart() { # $1: kernel name of a device that is not sealed
  read_udev_data "$1"
  own_type=$fs_type own_uuid=$uuid
  if [ -n "$partuuid" ] && kernel_name "/dev/block/immutafs/by-partuuid/$partuuid"; then
    genuine=/dev/$name identity=PARTUUID=$partuuid
    return 0
  fi
  case $own_type in
    linux_raid_member)
      is_complete_when_sealed md "$own_uuid" && return 0
      runs_without_sealed_member "$own_uuid" && return 0
      ;;
    btrfs)
      is_complete_when_sealed btrfs "$own_uuid" && return 0
      runs_without_sealed_member "$own_uuid" && return 0
      ;;
    ?*)
      if [ -n "$own_uuid" ] && kernel_name "/dev/block/immutafs/by-uuid/$own_uuid"; then
        genuine=/dev/$name identity=UUID=$own_uuid
        return 0
      fi
      ;;
  esac
  case $1 in dm-*) poses_as_sealed_group "$1" ;; *) return 1 ;; esac
}

# Whether the volume group of a logical volume has the name or UUID of a group on sealed physical volumes, and one of
# its physical volumes is not a member of that group according to the sealed metadata.
poses_as_sealed_group() { # $1: kernel name
  has_sealed_volumes && is_logical_volume "$1" && read -r dm_name <"/sys/class/block/$1/dm/name" || return 1
  read_sealed_groups
  split_volume_name "$dm_name"
  find_group_uuid "$dm_uuid"
  for volume in "/sys/class/block/$1"/slaves/*; do
    volume=${volume##*/}
    is_logical_volume "$volume" && continue
    is_sealed_device "$volume" && continue
    read_udev_data "$volume"
    # LVM may find a label that udev does not report because of another signature. Such a volume is not a member.
    [ "$fs_type" = LVM2_member ] || uuid=''
    is_lvm_impostor "$uuid" "$group_uuid" "$group_name" && genuine=$sealed_volume identity=$shared_identity && return 0
  done
  return 1
}

is_logical_volume() { # $1: kernel name
  dm_uuid=''
  { read -r dm_uuid <"/sys/class/block/$1/dm/uuid"; } 2>/dev/null
  case $dm_uuid in LVM-*) ;; *) return 1 ;; esac
}

# Sets group_uuid, in LVM's notation, from a logical volume's UUID in device-mapper, which is "LVM-" followed by the
# UUIDs of the group and the volume without hyphens.
find_group_uuid() { # $1: UUID in device-mapper
  group_uuid='' remaining_uuid=${1#LVM-}
  for length in 6 4 4 4 4 4 6; do
    count=0
    while [ "$count" -lt "$length" ]; do
      group_uuid=$group_uuid${remaining_uuid%"${remaining_uuid#?}"} remaining_uuid=${remaining_uuid#?} count=$((count + 1))
    done
    group_uuid=$group_uuid-
  done
  group_uuid=${group_uuid%-}
}

# Ends the boot if the root is an impostor: the root is not sealed, the kernel command line requests an encrypted
# device, array or volume group that is on a sealed disk, and the root is not on a device of that kind.
check_requested_devices() { # $1: mount point of the root
  [ -z "$sealed_root" ] && [ -e /dev/block/immutafs ] || return 0
  identity='' arguments=$cmdline
  while next_argument; do
    case $argument in
      rd.luks.uuid=*) require_luks "${argument#*=}" ;;
      rd.md.uuid=*) require_array "${argument#*=}" ;;
      rd.lvm.lv=*/*) require_group "${argument#*=}" ;;
      rd.lvm.vg=*) require_group "${argument#*=}/" ;;
      root=/dev/mapper/*-*)
        split_volume_name "${argument#root=/dev/mapper/}"
        require_group "$group_name/"
        ;;
    esac
    [ -z "$identity" ] || end_boot "$1"
  done
}

require_luks() { # $1: UUID or its first characters, optionally after luks- (dracut.cmdline(7))
  for link in /dev/block/immutafs/by-uuid/"${1#luks-}"*; do
    [ -b "$link" ] && ! has_in_stack crypto_LUKS && kernel_name "$link" && genuine=/dev/$name identity=LUKS=$1
  done
}

require_array() { # $1: UUID, with hyphens and colons at any position
  strip_separators "$1"
  requested_uuid=$replaced
  for link in /dev/block/immutafs/md/*; do
    { [ -b "$link" ] && ! has_in_stack linux_raid_member; } || continue
    read_udev_data "${link##*/}"
    strip_separators "$uuid"
    [ "$replaced" != "$requested_uuid" ] || genuine=/dev/${link##*/} identity=MD=$1
  done
}

strip_separators() { # $1: UUID; sets replaced
  replace "$1" - ''
  replace "$replaced" : ''
}

require_group() { # $1: group/volume
  if has_sealed_volumes && ! has_in_stack LVM2_member; then
    read_sealed_groups
    while read -r _ _ group; do
      [ -n "$group" ] && [ "$group" = "${1%%/*}" ] && genuine=$sealed_volume identity=VG=$group
    done <<EOT
$sealed_members
EOT
  fi
}

# Ends the boot with an exit code for the hook. Reads the configuration in the initramfs, not that of the mounted root.
end_boot() { # $1: mount point
  read_config /etc/immutafs/immutafs.conf 2>/dev/null
  target=${1#"$root"}
  text="immutafs: ${target:-/} is mounted from /dev/${mounted:-unknown}, which poses as $genuine ($identity): the host made $genuine read-only, and the system must be mounted from it. The boot ends (ON_IMPOSTOR=$conf_ON_IMPOSTOR). Detach or erase the disk of /dev/${mounted:-unknown}. To boot from it anyway, add immutafs=off to the kernel command line."
  # The kernel log reaches the console and the journal.
  printf '<2>%s\n' "$text" >/dev/kmsg || printf '%s\n' "$text" >&2
  case $conf_ON_IMPOSTOR in
    emergency) exit 5 ;;
    *) exit 6 ;;
  esac
}
