# shellcheck shell=sh disable=SC2034,SC2154 # disks and replaced are set by immutafs-lib.sh; the callers read volumes
# Writes to /run the LVM configuration of this boot for read-only disks. Source after immutafs-lib.sh. Starts no other
# process than find_disks.

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
    { read -r uuid <"$device/dm/uuid" && read -r name <"$device/dm/name"; } 2>/dev/null
    # Skip the internal parts of a volume, whose UUIDs have a suffix.
    case $uuid in LVM-*-*) continue ;; LVM-*) ;; *) continue ;; esac
    disks=''
    find_disks "$device"
    all_read_only || continue
    split_volume_name "$name"
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
