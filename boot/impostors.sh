# shellcheck shell=sh
# Finds impostors, and keeps them out of LVM, md arrays, Btrfs file systems and the root. Source after library.sh.

# --- the mounted system --------------------------------------------------------------------------------

# Checks that the mounted system comes from the disk that the host made read-only, if such a disk has the same identity.
# Runs before any file of the mounted root is read, because an attacker controls the files of an impostor.

# Returns if nothing is mounted from an impostor; otherwise ends the boot, also if this is unknown.
check_identity() { # $1: mount point of the root
  IFS= read -r cmdline </proc/cmdline
  read_root_arguments "$cmdline"
  [ "$arg_MODE" != off ] || return 0
  # After this, udev's links are complete, for this script and for the generator in the real root.
  is_settled=''
  ! wait_for_udev 180 || is_settled=1
  read_mounts
  sealed_root=''
  find_mount "$1"
  trace_mount || end_boot_of_unknown "$1"
  if all_sealed; then sealed_root=1; else refuse_impostor "$1" "$root_source"; fi
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
    trace_mount || end_boot_of_unknown "$below_root"
    fstab_source=''
    [ -z "$sealed_root" ] || find_fstab "$1" "${below_root#"$1"}"
    all_sealed || refuse_impostor "$below_root" "$fstab_source"
  done
}

# Ends the boot if the device that trace_mount found poses as a sealed device. If udev is still busy, a sealed device may
# exist that it has not found yet.
refuse_impostor() { # $1: mount point; $2: requested source as in fstab, or empty; reads is_settled
  ! is_impostor "$2" || end_boot "$1"
  [ -n "$is_settled" ] || end_boot_because "$1" \
    'which the host did not make read-only, and udev was still busy after 180 s: whether the host made another disk with the same identity read-only is unknown' \
    'Reboot; if that does not help, detach the disk that does not answer.'
}

# Whether the device that trace_mount found poses as a sealed device. Sets genuine to the sealed device, and identity to
# the identity that both devices have.
is_impostor() { # $1: requested source as in fstab, or empty
  genuine='' identity=''
  [ -e /dev/block/immutafs ] || return 1
  if [ -n "$1" ]; then
    source_node "$1"
    [ -n "$sealed_link" ] && ! is_in_stack "$node" && genuine=/dev/$kernel_name identity=$1 && return 0
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
    genuine=/dev/$kernel_name identity=PARTUUID=$partuuid
    return 0
  fi
  case $own_type in
    linux_raid_member)
      is_complete_when_sealed linux_raid_member "$own_uuid" && return 0
      runs_without_sealed_member "$own_uuid" && return 0
      ;;
    btrfs)
      is_complete_when_sealed btrfs "$own_uuid" && return 0
      runs_without_sealed_member "$own_uuid" && return 0
      ;;
    ?*)
      if [ -n "$own_uuid" ] && kernel_name "/dev/block/immutafs/by-uuid/$own_uuid"; then
        genuine=/dev/$kernel_name identity=UUID=$own_uuid
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
    [ -b "$link" ] && ! has_in_stack crypto_LUKS && kernel_name "$link" && genuine=/dev/$kernel_name identity=LUKS=$1
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

# Ends the boot if immutafs-boot does not tell the disks under a mount, and a disk is sealed.
end_boot_of_unknown() { # $1: mount point
  for link in /dev/block/immutafs/by-*/*; do
    [ -b "$link" ] || continue
    end_boot_because "$1" 'whose disks are unknown, because immutafs-boot failed: another disk may be the sealed one' \
      'Repair or reinstall immutafs-agent.'
  done
}

end_boot() { # $1: mount point; reads genuine and identity
  end_boot_because "$1" \
    "which poses as $genuine ($identity): the host made $genuine read-only, and the system must be mounted from it" \
    "Detach or erase the disk of /dev/${mounted:-unknown}."
}

# Ends the boot with an exit code for the hook. Reads the configuration in the initramfs, not that of the mounted root.
end_boot_because() { # $1: mount point; $2: why its device must not be used; $3: what to do
  read_config /etc/immutafs/immutafs.conf 2>/dev/null
  target=${1#"$root"}
  text="immutafs: ${target:-/} is mounted from /dev/${mounted:-unknown}, $2. The boot ends (ON_IMPOSTOR=$conf_ON_IMPOSTOR). $3 To boot from it anyway, add immutafs=off to the kernel command line."
  # The kernel log reaches the console and the journal.
  printf '<2>%s\n' "$text" >/dev/kmsg || printf '%s\n' "$text" >&2
  case $conf_ON_IMPOSTOR in
    emergency) exit 5 ;;
    *) exit 6 ;;
  esac
}

# --- members of md arrays and Btrfs file systems -------------------------------------------------------

# Whether the sealed members of an md array or Btrfs file system are complete, so that a writable device cannot be a
# member (boot/members.ts), and also without an answer of the program. If they are not complete, the array or file system
# spans sealed and writable disks. Sets genuine to a sealed member, and identity.
is_complete_when_sealed() { # $1: ID_FS_TYPE; $2: ID_FS_UUID_ENC
  [ -e "/dev/block/immutafs/member/$2" ] || return 1
  genuine=$(/usr/libexec/immutafs/immutafs-boot sealed-member "$1" "$2")
  case $? in
    0) ;;
    1) return 1 ;;
    *) genuine=/dev/unknown ;;
  esac
  identity=UUID=$2
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
      if is_complete_when_sealed linux_raid_member "$uuid"; then
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
  [ -z "$released" ] || udevadm settle --timeout=90
}

add_again() { # $1: kernel name of a sealed member
  case " $released" in *" $1 "*) return ;; esac
  released="$released$1 "
  echo add >"/sys/class/block/$1/uevent"
}

# --- LVM -----------------------------------------------------------------------------------------------

# The search runs lvm, so it takes place only if there are physical volumes on both sealed and unsealed disks.

sealed_members=''

# Prints fields of physical volumes. The given filter replaces all configured filters.
query_pvs() { # $1: patterns of global_filter; $2: fields
  LVM_SUPPRESS_FD_WARNINGS=1 lvm pvs --noheadings -o "$2" \
    --config "devices { use_devicesfile = 0 filter = [ \"a|.*|\" ] global_filter = [ $1 ] } global { use_lvmetad = 0 }" \
    2>/dev/null
}

# Sets sealed_members to "PV-UUID VG-UUID VG-NAME" of each member of the groups on sealed physical volumes, one per
# line, according to the metadata on the sealed volumes; missing members are included. Sets sealed_volume to one of the
# sealed volumes.
read_sealed_groups() {
  [ -z "$sealed_members" ] || return 0
  patterns=''
  for sealed_link in /dev/block/immutafs/lvm/*; do
    sealed_volume=/dev/${sealed_link##*/}
    patterns="$patterns\"a|^$sealed_volume\$|\", "
  done
  sealed_members=$(query_pvs "$patterns\"r|.*|\"" pv_uuid,vg_uuid,vg_name)
}

# Whether a physical volume is an impostor: it has the UUID of a sealed physical volume, or its group has the name or
# UUID of a sealed group and the sealed metadata does not list the volume as a member. Sets shared_identity to the
# identity that the impostor and the sealed volume or group have.
is_lvm_impostor() { # $1: UUID of the volume; $2: UUID of its group, or empty; $3: name of the group
  shared_identity=''
  if [ -b "/dev/block/immutafs/by-uuid/$1" ]; then
    shared_identity=UUID=$1
    return 0
  fi
  while read -r member member_group member_group_name; do
    case $member in '') continue ;; "$1") return 1 ;; esac
    [ -n "$member_group_name" ] || continue
    if [ "$member_group" = "$2" ] || [ "$member_group_name" = "$3" ]; then shared_identity=VG=$member_group_name; fi
  done <<EOT
$sealed_members
EOT
  [ -n "$shared_identity" ]
}

# Writes to $lvm_filter the filter patterns that reject the impostors among the unsealed volumes; returns false if there
# are no impostors.
reject_impostors() {
  rejected=''
  set -- /dev/block/immutafs/unsealed-lvm/*
  [ -b "$1" ] || return 1
  # udev makes the links of a device one after the other, and then writes its entry in the database.
  wait_for_udev 60
  for link in /dev/block/immutafs/unsealed-lvm/*; do
    [ -b "$link" ] || continue
    read_sealed_groups
    candidate=${link##*/}
    read_udev_data "$candidate"
    candidate_uuid=$uuid
    read -r _ group_uuid group <<EOT
$(query_pvs "\"a|^/dev/$candidate\$|\", \"r|.*|\"" pv_uuid,vg_uuid,vg_name)
EOT
    is_lvm_impostor "$candidate_uuid" "$group_uuid" "$group" || continue
    sealed_node=$sealed_volume
    if kernel_name "/dev/block/immutafs/by-uuid/$candidate_uuid"; then sealed_node=/dev/$kernel_name; fi
    note_impostor "/dev/$candidate" "$sealed_node" "$shared_identity"
    # Reject every name of the device except links by UUID or label, which may point to the sealed device. LVM uses a
    # device if the filter accepts any of its names, and ignores a device if the filter rejects a name and accepts none
    # (lvm2, lib/filters/filter-regex.c).
    for alias in "/dev/$candidate" $aliases; do
      case $alias in */by-uuid/* | */by-label/* | */by-part*/* | */lvm-pv-uuid-* | /dev/block/immutafs/*) continue ;; esac
      escape_pattern "$alias"
      rejected="$rejected\"r|^$pattern\$|\", "
    done
  done
  [ -n "$rejected" ] || return 1
  configured=$(LVM_SUPPRESS_FD_WARNINGS=1 lvm dumpconfig devices/global_filter 2>/dev/null)
  case $configured in
    *=*'['*']') configured=${configured#*'['} && configured=${configured%']'} ;;
    *=*) configured=${configured#*=} ;;
    *) configured='' ;;
  esac
  rejected=$rejected$configured
  [ -d /run/immutafs ] || mkdir -p /run/immutafs
  printf '%s\n' "${rejected%, }" >"$lvm_filter"
}

# Sets pattern to an LVM regular expression that matches the path. `.` replaces each character that may be special.
escape_pattern() { # $1: path
  pattern='' rest=$1
  while [ -n "$rest" ]; do
    case $rest in
      [A-Za-z0-9/_-]*) pattern=$pattern${rest%"${rest#?}"} ;;
      *) pattern=$pattern. ;;
    esac
    rest=${rest#?}
  done
}

# Activates the volume groups on sealed volumes, for a root on a volume that has not been activated yet.
activate_sealed_groups() {
  /usr/libexec/immutafs/lvm-readonly
  read_sealed_groups
  seen=' '
  while read -r _ group_uuid group; do
    case $seen in *" $group "*) continue ;; esac
    seen="$seen$group "
    [ -z "$group" ] || LVM_SUPPRESS_FD_WARNINGS=1 lvm vgchange -ay --sysinit "$group" >/dev/null 2>&1
  done <<EOT
$sealed_members
EOT
  wait_for_udev 90
}

# --- the LVM configuration of this boot ----------------------------------------------------------------

lvmlocal=/run/immutafs/lvmlocal.conf
# Patterns of global_filter (lvm.conf(5)) that reject the impostors of sealed physical volumes.
lvm_filter=/run/immutafs/lvm-filter

# Writes $lvmlocal. $1: the existing lvmlocal.conf(5), which is copied to its beginning; $2: entries of
# read_only_volume_list, each as "name", with a comma and a space after it. If a section occurs twice, LVM merges both
# and uses the later value (libdm, _find_or_make_node).
write_lvmlocal() {
  {
    [ ! -r "$1" ] || while IFS= read -r line || [ -n "$line" ]; do
      printf '%s\n' "$line"
    done <"$1"
    [ -z "$2" ] ||
      printf '# immutafs: the host made these read-only\nactivation {\n\tread_only_volume_list = [ %s ]\n}\n' "${2%, }"
    if [ -r "$lvm_filter" ]; then
      read -r patterns <"$lvm_filter"
      printf '# immutafs: these pose as sealed physical volumes\ndevices {\n\tglobal_filter = [ %s ]\n}\n' "$patterns"
    fi
  } >"$lvmlocal"
}

# Disables the devices file of the root $1, if there is one, because with a devices file LVM ignores the filter
# (lvmdevices(8)) and would use a copy of a listed device. LVM before 2.03 has neither the setting nor a devices file.
disable_devices_file() {
  [ -r "$lvm_filter" ] && [ -e "$1/etc/lvm/devices/system.devices" ] || return 0
  printf 'devices {\n\tuse_devicesfile = 0\n}\n' >>"$lvmlocal"
}

# Sets volumes to the active logical volumes whose disks are all read-only, each as "vg/lv", with a comma and a space
# after it.
find_read_only_volumes() {
  volumes=''
  for device in /sys/block/dm-*; do
    uuid=''
    { read -r uuid <"$device/dm/uuid" && read -r volume_name <"$device/dm/name"; } 2>/dev/null
    # Skip the internal parts of a volume, whose UUIDs have a suffix.
    case $uuid in LVM-*-*) continue ;; LVM-*) ;; *) continue ;; esac
    disks=''
    find_disks "$device"
    all_read_only || continue
    split_volume_name "$volume_name"
    volumes="$volumes\"$group_name/$volume_name\", "
  done
}

# Sets group_name and volume_name from a volume's name in device-mapper, in which the hyphens of both names are doubled
# (lvm2, dm_build_dm_name).
split_volume_name() { # $1: name
  replace "$1" -- /
  set -- "$replaced"
  replace "${1#*-}" / -
  volume_name=$replaced
  replace "${1%%-*}" / -
  group_name=$replaced
}
