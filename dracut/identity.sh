# shellcheck shell=sh disable=SC2034,SC2154 # of assemble-var and the other parts of it
# Whether what is mounted for the system comes from the disk that the host made read-only, if one has its identity.
# Called before anything of the mounted root is read: the configuration of an impostor is the attacker's.

# Returns where nothing poses as a sealed disk; does not return where something does.
check_identity() { # $1: where the root is mounted
  IFS= read -r cmdline </proc/cmdline
  read_root_arguments "$cmdline"
  [ "$arg_MODE" != off ] || return 0
  # The links of udev are complete after this, for us and for the generator in the real root.
  wait_for_udev 180
  read_mounts
  sealed_root=''
  find_mount "$1"
  trace_mount "$1"
  if all_sealed; then sealed_root=1; elif is_impostor "$root_source"; then refuse "$1"; fi
  check_asked "$1"
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
    all_sealed || ! is_impostor "$fstab_source" || refuse "$below_root"
  done
}

# Whether what trace_mount found poses as a sealed device: genuine, the sealed one, and identity say as which.
is_impostor() { # $1: the source that it was asked for by, as in fstab, or nothing
  genuine='' identity=''
  [ -e /dev/immutafs ] || return 1
  if [ -n "$1" ]; then
    source_node "$1"
    case $node in
      /dev/immutafs/*) ! is_in_stack "$node" && genuine=/dev/$name identity=$1 && return 0 ;;
    esac
  fi
  for part in $stack; do
    is_sealed_device "$part" && continue
    has_sealed_twin "$part" && return 0
  done
  return 1
}

has_sealed_twin() { # $1: kernel name, of a device that is not sealed
  read_udev_data "$1"
  own_type=$fs_type own_uuid=$uuid
  if [ -n "$partuuid" ] && kernel_name "/dev/immutafs/by-partuuid/$partuuid"; then
    genuine=/dev/$name identity=PARTUUID=$partuuid
    return 0
  fi
  case $own_type in
    linux_raid_member) is_enough_without md "$own_uuid" && return 0 ;;
    btrfs) is_enough_without btrfs "$own_uuid" && return 0 ;;
    ?*)
      if [ -n "$own_uuid" ] && kernel_name "/dev/immutafs/by-uuid/$own_uuid"; then
        genuine=/dev/$name identity=UUID=$own_uuid
        return 0
      fi
      ;;
  esac
  case $1 in dm-*) is_in_sealed_group "$1" ;; *) return 1 ;; esac
}

# Whether the sealed members of an array or a Btrfs make it whole: a writable one is then none of it. With fewer, it
# spans both kinds of disk.
is_enough_without() { # $1: md or btrfs; $2: UUID
  count=0
  for link in "/dev/immutafs/$1"/*; do
    [ -b "$link" ] || continue
    read_udev_data "${link##*/}"
    [ "$uuid" = "$2" ] || continue
    count=$((count + 1)) sealed_member=/dev/${link##*/}
  done
  [ "$count" -gt 0 ] || return 1
  members=0
  if [ "$1" = md ]; then
    # As the sealed member has it: the running array has what its newest member says.
    while IFS='=' read -r word value; do
      [ "$word" != MD_DEVICES ] || members=$value
    done <<EOT
$(mdadm --examine --export "$sealed_member" 2>/dev/null)
EOT
  else
    for folder in "/sys/fs/btrfs/$2"/devices/*; do members=$((members + 1)); done
  fi
  # What cannot be told is no reason to trust it.
  [ "$count" -ge "$members" ] && genuine=$sealed_member identity=UUID=$2
}

# Whether a logical volume is of a group with the name or the UUID of one on sealed volumes, and has a physical volume
# that is no member of that, as the sealed ones have it.
is_in_sealed_group() { # $1: kernel name
  has_sealed_volumes && is_logical_volume "$1" && read -r dm_name <"/sys/class/block/$1/dm/name" || return 1
  read_sealed_groups
  split_volume_name "$dm_name"
  find_group_uuid "$dm_uuid"
  for volume in "/sys/class/block/$1"/slaves/*; do
    volume=${volume##*/}
    is_logical_volume "$volume" && continue
    is_sealed_device "$volume" && continue
    read_udev_data "$volume"
    # lvm may see what udev does not, beside another signature. Then it is no member.
    [ "$fs_type" = LVM2_member ] || uuid=''
    is_lvm_impostor "$uuid" "$group_uuid" "$group_name" && genuine=$sealed_volume identity=$shared && return 0
  done
  return 1
}

is_logical_volume() { # $1: kernel name
  dm_uuid=''
  { read -r dm_uuid <"/sys/class/block/$1/dm/uuid"; } 2>/dev/null
  case $dm_uuid in LVM-*) ;; *) return 1 ;; esac
}

# group_uuid: of a logical volume's UUID in device-mapper, "LVM-" and both UUIDs without hyphens, as lvm writes it.
find_group_uuid() { # $1
  group_uuid='' left_uuid=${1#LVM-}
  for length in 6 4 4 4 4 4 6; do
    count=0
    while [ "$count" -lt "$length" ]; do
      group_uuid=$group_uuid${left_uuid%"${left_uuid#?}"} left_uuid=${left_uuid#?} count=$((count + 1))
    done
    group_uuid=$group_uuid-
  done
  group_uuid=${group_uuid%-}
}

# What else the command line asks for: a root that is not sealed, and is not on any of it, was put in its place.
check_asked() { # $1: where the root is mounted
  [ -z "$sealed_root" ] && [ -e /dev/immutafs ] || return 0
  identity='' arguments=$cmdline
  while next_argument; do
    case $argument in
      rd.luks.uuid=*) asked_luks "${argument#*=}" ;;
      rd.md.uuid=*) asked_array "${argument#*=}" ;;
      rd.lvm.lv=*/*) asked_group "${argument#*=}" ;;
      rd.lvm.vg=*) asked_group "${argument#*=}/" ;;
      root=/dev/mapper/*-*)
        split_volume_name "${argument#root=/dev/mapper/}"
        asked_group "$group_name/"
        ;;
    esac
    [ -z "$identity" ] || refuse "$1"
  done
}

asked_luks() { # $1: UUID, perhaps with luks- before it (dracut.cmdline(7)), or the beginning of it
  for link in /dev/immutafs/by-uuid/"${1#luks-}"*; do
    [ -b "$link" ] && ! has_in_stack crypto_LUKS && kernel_name "$link" && genuine=/dev/$name identity=LUKS=$1
  done
}

asked_array() { # $1: UUID, with hyphens or colons anywhere
  plain "$1"
  asked_uuid=$replaced
  for link in /dev/immutafs/md/*; do
    { [ -b "$link" ] && ! has_in_stack linux_raid_member; } || continue
    read_udev_data "${link##*/}"
    plain "$uuid"
    [ "$replaced" != "$asked_uuid" ] || genuine=/dev/${link##*/} identity=MD=$1
  done
}

plain() { # $1: UUID
  replace "$1" - ''
  replace "$replaced" : ''
}

asked_group() { # $1: group/volume
  if has_sealed_volumes && ! has_in_stack LVM2_member; then
    read_sealed_groups
    while read -r _ _ group; do
      [ -n "$group" ] && [ "$group" = "${1%%/*}" ] && genuine=$sealed_volume identity=VG=$group
    done <<EOT
$sealed_members
EOT
  fi
}

# Ends the boot. The configuration is the one that the initramfs was made with; exit codes are for the hook.
refuse() { # $1: target
  read_config /etc/immutafs/immutafs.conf 2>/dev/null
  target=${1#"$root"}
  text="immutafs: ${target:-/} is mounted from /dev/${mounted:-unknown}, which poses as $genuine ($identity): the host made $genuine read-only, and the system must come from it. The boot ends here (ON_IMPOSTOR=$conf_ON_IMPOSTOR). Detach or erase the disk of /dev/$mounted; to boot it all the same, add immutafs=off to the kernel command line."
  # The kernel's log is on the console and in the journal.
  printf '<2>%s\n' "$text" >/dev/kmsg || printf '%s\n' "$text" >&2
  case $conf_ON_IMPOSTOR in
    emergency) exit 5 ;;
    *) exit 6 ;;
  esac
}
