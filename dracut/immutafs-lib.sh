# shellcheck shell=sh disable=SC2034 # its variables are its callers' answers
# What the boot scripts share: the configuration, the kernel argument, the disks under a file system, the
# mode. Sourced, POSIX sh, without a single process but one stat(1): it runs in the initramfs.
#
# Every function leaves its answer in the variables that its comment names.

IMMUTAFS_VERSION=0.1.0
# A range such as A-Z means bytes.
LC_ALL=C

warnings=''
warn() { # $1: text. Collected for boot.env and said once on the console.
  warnings="$warnings$1
"
  printf 'immutafs: warning: %s\n' "$1" >&2
  return 0
}

# --- configuration -------------------------------------------------------------------------------------

# conf_MODE conf_VAR_SIZE conf_VAR_INODES conf_VAR_OPTIONS conf_ON_FAILURE: the keys that matter at boot.
# $1: the file. Same grammar and same words as agent/config.ts; test/fixtures/config goes through both.
read_config() {
  conf_MODE=auto conf_VAR_SIZE=25% conf_VAR_INODES=200k conf_VAR_OPTIONS=nosuid,nodev conf_ON_FAILURE=degraded
  [ -e "$1" ] || return 0
  if ! { [ -f "$1" ] && [ -r "$1" ]; }; then
    warn "$1: not a readable file, ignoring it"
    return 0
  fi
  config_bytes=$(stat -L -c %s "$1" 2>/dev/null) || config_bytes=0
  if [ "$config_bytes" -gt 65536 ]; then
    warn "$1: larger than 65536 bytes, ignoring it"
    return 0
  fi
  config_name=/etc/immutafs/immutafs.conf config_line=0 config_seen=' '
  while IFS= read -r line || [ -n "$line" ]; do
    config_line=$((config_line + 1))
    read_config_line
  done <"$1"
}

read_config_line() {
  line=${line#"${line%%[! 	]*}"}
  line=${line%"${line##*[! 	]}"}
  case $line in '' | '#'*) return 0 ;; esac
  case $line in *[[:cntrl:]]*) config_warn '' 'a control character, ignoring the line' && return 0 ;; esac
  case $line in
    *=*) key=${line%%=*} value=${line#*=} ;;
    *) config_warn '' 'not KEY=value, ignoring the line' && return 0 ;;
  esac
  case $key in '' | *[!A-Z_]*) config_warn '' 'not KEY=value, ignoring the line' && return 0 ;; esac
  case $key in
    MODE | VAR_SIZE | VAR_INODES | VAR_OPTIONS | ON_FAILURE | REQUIRE_READONLY | REQUIRE_OPTIONS) ;;
    USAGE_WARN | USAGE_FAIL | PROMETHEUS_FILE | FORWARD | FORWARD_CA | FORWARD_CERT | FORWARD_KEY | FORWARD_PEER) ;;
    *) config_warn "$key" 'unknown key, ignoring it' && return 0 ;;
  esac
  case $config_seen in *" $key "*) config_warn "$key" 'given twice, the later line counts' ;; esac
  config_seen="$config_seen$key "
  set_config_value
}

config_warn() { # $1: key or nothing; $2: reason
  warn "$config_name:$config_line: ${1:+$1: }$2"
}

set_config_value() { # key, value: as read
  case $key in
    MODE)
      case $value in
        auto | sealed | off) conf_MODE=$value ;;
        *) config_warn MODE 'must be auto, sealed or off, using auto' && conf_MODE=auto ;;
      esac
      ;;
    VAR_SIZE)
      if is_size "$value"; then
        conf_VAR_SIZE=$value
      else
        config_warn VAR_SIZE 'must be 1% to 100%, or a number with m or g, using 25%' && conf_VAR_SIZE=25%
      fi
      ;;
    VAR_INODES)
      if is_inodes "$value"; then
        conf_VAR_INODES=$value
      else
        config_warn VAR_INODES 'must be a number from 1000, k or m may follow, using 200k' && conf_VAR_INODES=200k
      fi
      ;;
    VAR_OPTIONS)
      if is_options "$value"; then
        conf_VAR_OPTIONS=$value
      else
        config_warn VAR_OPTIONS 'must be of nosuid, nodev, noexec, noatime, relatime, using nosuid,nodev'
        conf_VAR_OPTIONS=nosuid,nodev
      fi
      ;;
    ON_FAILURE)
      case $value in
        degraded | emergency | poweroff) conf_ON_FAILURE=$value ;;
        *) config_warn ON_FAILURE 'must be degraded, emergency or poweroff, using degraded' && conf_ON_FAILURE=degraded ;;
      esac
      ;;
  esac
}

is_number() { # $1: 1 to 9 digits, the first not 0
  case $1 in '' | 0* | *[!0-9]* | ??????????*) return 1 ;; esac
}

is_size() { # tmpfs(5) size=; a unit is asked for, since a forgotten one would mean bytes
  case $1 in
    *%) is_number "${1%\%}" && [ "${1%\%}" -le 100 ] ;;
    *[mMgG]) is_number "${1%?}" ;;
    *) return 1 ;;
  esac
}

is_inodes() { # tmpfs(5) nr_inodes=
  case $1 in
    *[kKmM]) is_number "${1%?}" ;;
    *) is_number "$1" && [ "$1" -ge 1000 ] ;;
  esac
}

is_options() {
  case ",$1," in *,,*) [ -z "$1" ] && return 0 || return 1 ;; esac
  options_left=$1,
  while [ -n "$options_left" ]; do
    case ${options_left%%,*} in nosuid | nodev | noexec | noatime | relatime) ;; *) return 1 ;; esac
    options_left=${options_left#*,}
  done
}

# --- kernel argument -----------------------------------------------------------------------------------

# arg_MODE: the last immutafs= on the kernel command line $1, empty if there is none or it is nonsense.
read_kernel_argument() {
  arg_MODE=''
  set -f
  for word in $1; do
    case $word in
      immutafs=auto | immutafs=sealed | immutafs=off) arg_MODE=${word#*=} ;;
      immutafs=*) warn "kernel argument $word: must be auto, sealed or off, ignoring it" ;;
    esac
  done
  set +f
}

# --- disks ---------------------------------------------------------------------------------------------

# disks: "name:read-only:evidence …" for every disk under the block device whose sysfs folder is $1, through
# partitions and device-mapper or md stacks (Documentation/ABI/testing/sysfs-block).
# read-only is 0 or 1; evidence is virtio-feature (the host offered VIRTIO_BLK_F_RO, bit 5), flag or none.
find_disks() {
  if [ -e "$1/partition" ]; then
    find_disks "$1/.."
    return
  fi
  set -- "$1" "$1"/slaves/*
  if [ ! -e "$2" ]; then
    add_disk "$1"
    return
  fi
  shift
  for slave; do
    find_disks "$slave"
  done
}

add_disk() {
  disk_name='' disk_ro=0 disk_evidence=none disk_features=''
  while IFS='=' read -r word value; do
    [ "$word" = DEVNAME ] && disk_name=$value
  done 2>/dev/null <"$1/uevent"
  { read -r disk_ro <"$1/ro"; } 2>/dev/null
  [ "$disk_ro" = 1 ] && disk_evidence=flag
  { read -r disk_features <"$1/device/features"; } 2>/dev/null
  case $disk_name:$disk_features in vd*:?????1*) disk_ro=1 disk_evidence=virtio-feature ;; esac
  case " $disks" in *" $disk_name:"*) ;; *) disks="$disks$disk_name:$disk_ro:$disk_evidence " ;; esac
}

# mount_dev mount_type: "major:minor" and type of what is mounted last at $1, empty if nothing is.
# (/proc/self/mountinfo, proc(5); $1 has no character that is escaped there.)
find_mount() {
  mount_dev='' mount_type=''
  while read -r _ _ dev _ target rest; do
    [ "$target" = "$1" ] || continue
    mount_dev=$dev mount_type=${rest#* - }
  done </proc/self/mountinfo
  mount_type=${mount_type%% *}
}

# --- mode ----------------------------------------------------------------------------------------------

# mode reason disks: sealed, maintenance or off for this boot. $1: where the system's root is mounted.
# With auto the disks' own state decides, never something that a guest could write.
decide_mode() {
  disks=''
  find_mount "$1"
  case $mount_dev in
    '' | 0:*) ;;
    *) [ -e "/sys/dev/block/$mount_dev" ] && find_disks "/sys/dev/block/$mount_dev" ;;
  esac
  mode=${arg_MODE:-$conf_MODE} reason="MODE=$conf_MODE"
  [ -n "$arg_MODE" ] && reason="kernel argument immutafs=$arg_MODE"
  [ "$mode" = auto ] || return 0
  mode=maintenance reason="no disk under / is known (device ${mount_dev:-none}, $mount_type)"
  for disk in $disks; do
    name=${disk%%:*} disk=${disk#*:}
    if [ "${disk%%:*}" = 1 ]; then
      mode=sealed reason="disk $name is read-only (${disk#*:})"
      return 0
    fi
    reason="disk $name is writable"
  done
}

# --- fstab ---------------------------------------------------------------------------------------------

# fstab_source fstab_type fstab_options: the line of fstab(5) for target $2 that a block device serves, in the
# root $1; empty and false if there is none.
find_fstab() {
  fstab_source='' fstab_type='' fstab_options=''
  [ -r "$1/etc/fstab" ] || return 1
  while read -r source target type options _ || [ -n "$source" ]; do
    # shellcheck disable=SC1003
    case $target in *'\'*) target=$(printf %b "$target") ;; esac
    { [ "${target%/}" = "$2" ] && is_device "$source"; } || continue
    fstab_source=$source fstab_type=$type fstab_options=${options:-defaults}
  done <"$1/etc/fstab"
  [ -n "$fstab_source" ]
}

is_device() { # $1: first field of a line of fstab
  case $1 in /dev/* | UUID=* | LABEL=* | PARTUUID=* | PARTLABEL=*) ;; *) return 1 ;; esac
}

# node: the device node of a source as in fstab.
source_node() { # $1: source
  case $1 in
    UUID=*) node=/dev/disk/by-uuid/${1#*=} ;;
    LABEL=*) node=/dev/disk/by-label/${1#*=} ;;
    PARTUUID=*) node=/dev/disk/by-partuuid/${1#*=} ;;
    PARTLABEL=*) node=/dev/disk/by-partlabel/${1#*=} ;;
    *) node=$1 ;;
  esac
}

# node disks: likewise resolved, and the disks under it; false if there is no such device.
find_source() { # $1: source
  disks=''
  source_node "$1"
  [ -b "$node" ] && node=$(readlink -f "$node") && find_disks "/sys/class/block/${node##*/}"
}

# Whether every disk under a source as in fstab is read-only.
is_read_only_source() { # $1: source
  find_source "$1" && all_read_only
}

all_read_only() {
  for disk in $disks; do
    case $disk in *:1:*) ;; *) return 1 ;; esac
  done
  [ -n "$disks" ]
}

# Whether fstab of the root $1 has a line for target $2, whatever serves it.
in_fstab() {
  [ -r "$1/etc/fstab" ] || return 1
  while read -r source target _ || [ -n "$source" ]; do
    case $source in '#'*) continue ;; esac
    # shellcheck disable=SC1003
    case $target in *'\'*) target=$(printf %b "$target") ;; esac
    while :; do
      case $target in
        *//*) target=${target%%//*}/${target#*//} ;;
        ?*/) target=${target%/} ;;
        *) break ;;
      esac
    done
    [ "$target" != "$2" ] || return 0
  done <"$1/etc/fstab"
  return 1
}
