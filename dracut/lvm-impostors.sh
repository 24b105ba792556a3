# shellcheck shell=sh disable=SC2034,SC2154 # variables of immutafs-lib.sh, block-devices.sh and lvm.sh
# Finds the LVM physical volumes that pose as a physical volume that the host made read-only. Source after
# immutafs-lib.sh, block-devices.sh and lvm.sh. The search runs lvm, so it takes place only if there are physical
# volumes on both sealed and unsealed disks.

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
  wait_for_udev 10
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
    if kernel_name "/dev/block/immutafs/by-uuid/$candidate_uuid"; then sealed_node=/dev/$name; fi
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
  wait_for_udev 25
}
