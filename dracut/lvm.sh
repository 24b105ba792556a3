# shellcheck shell=sh disable=SC2034,SC2154 # disks, replaced: immutafs-lib.sh's; volumes is its callers' answer
# What LVM is told about read-only disks, for this boot only: in /run. After immutafs-lib.sh, without a single process.

lvmlocal=/run/immutafs/lvmlocal.conf

# $1: lvmlocal.conf(5) as it is there, to which this is added; $2: names as in read_only_volume_list, each as "name",
write_lvmlocal() {
  {
    [ ! -r "$1" ] || while IFS= read -r line || [ -n "$line" ]; do
      printf '%s\n' "$line"
    done <"$1"
    printf '# immutafs: the host made these read-only\nactivation {\n\tread_only_volume_list = [ %s ]\n}\n' "${2%, }"
  } >"$lvmlocal"
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
    # Hyphens in both names are doubled (lvm2, dm_build_dm_name).
    replace "$name" -- /
    name=$replaced
    replace "${name%%-*}" / -
    volumes="$volumes\"$replaced/"
    replace "${name#*-}" / -
    volumes="$volumes$replaced\", "
  done
}
