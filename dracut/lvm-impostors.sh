# shellcheck shell=sh disable=SC2034,SC2154 # of immutafs-lib.sh, sealed.sh and lvm.sh, after which it comes
# Which physical volumes pose as one that the host made read-only. Asks lvm, so only where there are some of both kinds.

sealed_members=''

# What lvm says of physical volumes, by a filter of its own instead of all others that are set.
ask_lvm() { # $1: patterns of global_filter; $2: fields
  LVM_SUPPRESS_FD_WARNINGS=1 lvm pvs --noheadings -o "$2" \
    --config "devices { use_devicesfile = 0 filter = [ \"a|.*|\" ] global_filter = [ $1 ] } global { use_lvmetad = 0 }" \
    2>/dev/null
}

# sealed_members: "PV-UUID VG-UUID VG-NAME" of each member of the groups on sealed volumes, missing ones too, as the
# sealed volumes alone have it, a line each; sealed_volume: one of those.
read_sealed_groups() {
  [ -z "$sealed_members" ] || return 0
  patterns=''
  for sealed_link in /dev/immutafs/lvm/*; do
    sealed_volume=/dev/${sealed_link##*/}
    patterns="$patterns\"a|^$sealed_volume\$|\", "
  done
  sealed_members=$(ask_lvm "$patterns\"r|.*|\"" pv_uuid,vg_uuid,vg_name)
}

# Whether a volume is an impostor: it has the UUID of a sealed one, or its group has the name or the UUID of one of
# theirs, of which it is no member as the sealed ones have it. shared: what it has in common.
is_lvm_impostor() { # $1: UUID of the volume; $2: UUID of its group, or nothing; $3: name of the group
  shared=''
  if [ -b "/dev/immutafs/by-uuid/$1" ]; then
    shared=UUID=$1
    return 0
  fi
  while read -r member its_uuid its_name; do
    case $member in '') continue ;; "$1") return 1 ;; esac
    if [ -n "$its_name" ] && { [ "$its_uuid" = "$2" ] || [ "$its_name" = "$3" ]; }; then shared=VG=$its_name; fi
  done <<EOT
$sealed_members
EOT
  [ -n "$shared" ]
}

# Writes to $lvm_filter what rejects the impostors among the volumes that are not sealed; false if there are none.
reject_impostors() {
  rejected=''
  for link in /dev/immutafs/unsealed-lvm/*; do
    [ -b "$link" ] || continue
    read_sealed_groups
    candidate=${link##*/}
    read_udev_data "$candidate"
    candidate_uuid=$uuid
    read -r _ group_uuid group <<EOT
$(ask_lvm "\"a|^/dev/$candidate\$|\", \"r|.*|\"" pv_uuid,vg_uuid,vg_name)
EOT
    is_lvm_impostor "$candidate_uuid" "$group_uuid" "$group" || continue
    sealed_node=$sealed_volume
    if kernel_name "/dev/immutafs/by-uuid/$candidate_uuid"; then sealed_node=/dev/$name; fi
    note_impostor "/dev/$candidate" "$sealed_node" "$shared"
    # By every name that is its own: a device is taken if one of its names is accepted, and is rejected if one is and
    # none is accepted (lvm2, lib/filters/filter-regex.c). What comes of a UUID or a label may be the sealed one's link.
    for alias in "/dev/$candidate" $aliases; do
      case $alias in */by-uuid/* | */by-label/* | */by-part*/* | */lvm-pv-uuid-* | /dev/immutafs/*) continue ;; esac
      literal "$alias"
      rejected="$rejected\"r|^$pattern\$|\", "
    done
  done
  [ -n "$rejected" ] || return 1
  own=$(LVM_SUPPRESS_FD_WARNINGS=1 lvm dumpconfig devices/global_filter 2>/dev/null)
  case $own in
    *=*'['*']') own=${own#*'['} && own=${own%']'} ;;
    *=*) own=${own#*=} ;;
    *) own='' ;;
  esac
  rejected=$rejected$own
  [ -d /run/immutafs ] || mkdir -p /run/immutafs
  printf '%s\n' "${rejected%, }" >"$lvm_filter"
}

# pattern: a path as a regular expression of lvm's, any character in place of one that may mean something else.
literal() { # $1: path
  pattern='' left=$1
  while [ -n "$left" ]; do
    case $left in
      [A-Za-z0-9/_-]*) pattern=$pattern${left%"${left#?}"} ;;
      *) pattern=$pattern. ;;
    esac
    left=${left#?}
  done
}

# Activates the groups on sealed volumes, for a root in them that nothing has asked for yet.
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
