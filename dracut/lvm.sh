# shellcheck shell=sh disable=SC2034,SC2154 # disks, replaced: immutafs-lib.sh's; volumes is its callers' answer
# What LVM is told about read-only disks, for this boot only: in /run. After immutafs-lib.sh, without a single process.

lvmlocal=/run/immutafs/lvmlocal.conf
# Patterns of global_filter (lvm.conf(5)) that reject what poses as a sealed physical volume.
lvm_filter=/run/immutafs/lvm-filter

# $1: lvmlocal.conf(5) as it is there, to which this is added; $2: names as in read_only_volume_list, each as "name",
# A section that comes twice is one, in which the later value counts (libdm, _find_or_make_node).
write_lvmlocal() {
  {
    [ ! -r "$1" ] || while IFS= read -r line || [ -n "$line" ]; do
      printf '%s\n' "$line"
    done <"$1"
    [ -z "$2" ] ||
      printf '# immutafs: the host made these read-only\nactivation {\n\tread_only_volume_list = [ %s ]\n}\n' "${2%, }"
    if [ -r "$lvm_filter" ]; then
      read -r patterns <"$lvm_filter"
      printf '# immutafs: these pose as what the host made read-only\ndevices {\n\tglobal_filter = [ %s ]\n}\n' "$patterns"
    fi
  } >"$lvmlocal"
}

# Where there is a devices file, lvm asks no filter (lvmdevices(8)), and takes a copy for the device in it.
# $1: the root whose file it is. LVM before 2.03 does not know the setting, and has no such file.
without_devices_file() {
  [ -r "$lvm_filter" ] && [ -e "$1/etc/lvm/devices/system.devices" ] || return 0
  printf 'devices {\n\tuse_devicesfile = 0\n}\n' >>"$lvmlocal"
}

# volumes: the active ones of which every disk is read-only, each as "vg/lv",
find_read_only_volumes() {
  volumes=''
  for device in /sys/block/dm-*; do
    uuid=''
    { read -r uuid <"$device/dm/uuid" && read -r name <"$device/dm/name"; } 2>/dev/null
    # A part of an LV has a suffix.
    case $uuid in LVM-*-*) continue ;; LVM-*) ;; *) continue ;; esac
    disks=''
    find_disks "$device"
    all_read_only || continue
    split_volume_name "$name"
    volumes="$volumes\"$group_name/$volume_name\", "
  done
}

# group_name volume_name: of a volume's name in device-mapper, in which hyphens in both are doubled (lvm2,
# dm_build_dm_name).
split_volume_name() { # $1: name
  replace "$1" -- /
  set -- "$replaced"
  replace "${1#*-}" / -
  volume_name=$replaced
  replace "${1%%-*}" / -
  group_name=$replaced
}
