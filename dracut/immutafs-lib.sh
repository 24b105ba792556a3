# shellcheck shell=sh disable=SC2034,SC2154 # conf_MODE is set by config.sh; the callers read the variables
# Functions for all boot scripts: kernel arguments, mounts, the disks under a file system, the mode.
# POSIX sh, to be sourced. Starts no process, because it runs in the initramfs, except check-tables, for device-mapper.
#
# Every function returns its results in the variables that its comment names.

IMMUTAFS_VERSION=0.1.0
# In the C locale, a range such as A-Z is a range of bytes.
LC_ALL=C

warnings=''
warn() { # $1: text. Collects it for boot.env and prints it on the console.
  warnings="$warnings$1
"
  printf 'immutafs: warning: %s\n' "$1" >&2
  return 0
}

# Sets replaced to $1 with every $2 replaced by $3.
replace() {
  replaced='' rest=$1
  while :; do
    case $rest in *"$2"*) ;; *) break ;; esac
    replaced=$replaced${rest%%"$2"*}$3
    rest=${rest#*"$2"}
  done
  replaced=$replaced$rest
}

# --- kernel argument -----------------------------------------------------------------------------------

# Sets arg_MODE to the value of the last valid immutafs= on the kernel command line $1; empty if there is none.
read_kernel_argument() {
  arg_MODE='' arguments=$1
  while next_argument; do
    case $argument in
      immutafs=auto | immutafs=sealed | immutafs=off) arg_MODE=${argument#*=} ;;
      immutafs=*) warn "kernel argument $argument: must be auto, sealed or off, ignoring it" ;;
    esac
  done
}

# Sets argument to the next argument in `arguments`, and removes it from there; returns false if there is none. A quote,
# at any position, begins or ends a part in which blanks do not separate arguments. A quote at the beginning of an
# argument or value is not part of it (lib/cmdline.c in the kernel, next_arg()).
next_argument() {
  arguments=${arguments#"${arguments%%[!"$blank"]*}"}
  [ -n "$arguments" ] || return 1
  argument=''
  while :; do
    piece=${arguments%%["$blank"\"]*}
    argument=$argument$piece arguments=${arguments#"$piece"}
    case $arguments in
      \"*\"*)
        arguments=${arguments#?}
        argument=$argument\"${arguments%%\"*}\" arguments=${arguments#*\"}
        ;;
      \"*) argument=$argument$arguments arguments='' ;;
      *) break ;;
    esac
  done
  quoted=''
  case $argument in \"*) argument=${argument#?} quoted=1 ;; esac
  case $argument in
    ?*=*)
      value=${argument#?*=}
      case $value in \"*) argument=${argument%"$value"}${value#?} quoted=1 ;; esac
      ;;
  esac
  [ -z "$quoted" ] || argument=${argument%\"}
}

blank=' 	
'

# --- disks ---------------------------------------------------------------------------------------------

# Adds "name:read-only:evidence " to disks for every disk under the block device with the sysfs directory $1, through
# partitions and stacks of device-mapper and md (Documentation/ABI/testing/sysfs-block). $2, only in a recursive call:
# `stack` if the content of a device above may differ from that of the disk.
# read-only: 0 or 1. evidence: virtio-feature (the host offered VIRTIO_BLK_F_RO, bit 5), scsi-flag (the read-only flag of
# a SCSI disk that only a hypervisor presents; the kernel sets it if the disk is write-protected), flag, none, or the
# value of $2.
find_disks() {
  if [ -e "$1/partition" ]; then
    find_disks "$1/.." "${2:-}"
    return
  fi
  set -- "$1" "${2:-}" "$1"/slaves/*
  if [ ! -e "$3" ]; then
    add_disk "$1" "$2"
    return
  fi
  if [ -n "$2" ] || has_content_of_slaves "$1"; then shift; else shift 2 && set -- stack "$@"; fi
  for slave; do
    [ "$slave" = "$1" ] || find_disks "$slave" "$1"
  done
}

# Whether the content of a stacked device cannot differ from that of the devices below it. The agent has the same rule,
# with its reasons, in agent/facts/disks/stack.ts.
has_content_of_slaves() { # $1: sysfs directory
  if [ -e "$1/dm" ]; then
    { read -r dm_number <"$1/dev"; } 2>/dev/null || return 1
    case $checked_tables in *" $dm_number "*) return 0 ;; esac
    check_table "$dm_number" && checked_tables="$checked_tables$dm_number "
    return
  fi
  md_level='' md_degraded=''
  { read -r md_level <"$1/md/level"; } 2>/dev/null
  case $md_level in
    linear | raid0 | raid1 | raid10) ;;
    raid4 | raid5 | raid6)
      { read -r md_degraded <"$1/md/degraded"; } 2>/dev/null
      [ "$md_degraded" = 0 ]
      ;;
    *) return 1 ;;
  esac
}

checked_tables=' '
check_table() { # $1: major:minor
  /usr/libexec/immutafs/check-tables "$1" >/dev/null
}

add_disk() { # $1: sysfs directory; $2: evidence that replaces the one found, or empty
  disk_name='' disk_ro=0 disk_evidence=none disk_features=''
  while IFS='=' read -r word value; do
    [ "$word" = DEVNAME ] && disk_name=$value
  done 2>/dev/null <"$1/uevent"
  { read -r disk_ro <"$1/ro"; } 2>/dev/null
  [ "$disk_ro" = 1 ] && disk_evidence=flag
  find_hypervisor_driver "$1"
  case $driver:$disk_ro in
    virtio_blk:*)
      { read -r disk_features <"$1/device/features"; } 2>/dev/null
      case $disk_features in ?????1*) disk_ro=1 disk_evidence=virtio-feature ;; esac
      ;;
    ?*:1) disk_evidence=scsi-flag ;;
  esac
  [ -z "$2" ] || disk_evidence=$2
  case " $disks" in *" $disk_name:$disk_ro:$disk_evidence "*) ;; *) disks="$disks$disk_name:$disk_ro:$disk_evidence " ;; esac
}

# Sets driver to the driver of the disk with the sysfs directory $1, or of its SCSI host, if only a hypervisor presents
# such a disk, and else to the empty string. The agent has the same rule, with its reasons, in
# agent/facts/disks/transport.ts.
find_hypervisor_driver() {
  if [ -e "$1/device/../../scsi_host" ]; then
    # The directory of the disk, of its target and of the host are below that of the adapter.
    set -- "$1/device/../../.." virtio_scsi
  else
    set -- "$1/device" virtio_blk
  fi
  read_driver "$1"
  case $driver in
    "$2")
      read_driver "$1/.."
      [ "$driver" = virtio-pci ] && driver=$2 || driver=''
      ;;
    vmw_pvscsi) [ "$2" = virtio_scsi ] || driver='' ;;
    *) driver='' ;;
  esac
}

read_driver() { # $1: sysfs directory of a device; sets driver
  driver=''
  while IFS='=' read -r word value; do
    [ "$word" != DRIVER ] || driver=$value
  done 2>/dev/null <"$1/uevent"
}

all_read_only() { # reads disks
  for disk in $disks; do
    case $disk in *:1:*) ;; *) return 1 ;; esac
  done
  [ -n "$disks" ]
}

# Whether all disks report that they are read-only, which is the condition for links below /dev/block/immutafs
# (66-immutafs-readonly.rules). A read-only flag counts only for disks that root in the guest cannot create.
all_sealed() { # reads disks
  for disk in $disks; do
    case $disk in *:1:virtio-feature | *:1:scsi-flag) ;; *) return 1 ;; esac
  done
  [ -n "$disks" ]
}

# --- mounts --------------------------------------------------------------------------------------------

# Sets mounts to "target major:minor type options" of all current mounts, one per line (/proc/self/mountinfo, proc(5)).
# Call it once for several calls of find_mount, because dash needs a system call for each character of mountinfo.
read_mounts() {
  mounts='
'
  while read -r _ _ dev _ target rest; do
    flags=${rest%% *} rest=${rest#* - }
    mounts="$mounts$target $dev ${rest%% *} $flags
"
  done </proc/self/mountinfo
}

# Sets mount_dev, mount_type and mount_options (per-mount options) of the topmost mount at $1 in `mounts`; empty if
# there is no mount. $1 must not contain a character that mountinfo escapes.
find_mount() {
  mount_dev='' mount_type='' mount_options=''
  case $mounts in *"
$1 "*) ;; *) return 0 ;; esac
  # Line by line, because the time of ${mounts##*…} is quadratic in the length: tens of milliseconds in dash and bash.
  old_ifs=$IFS old_flags=$-
  set -f
  IFS='
'
  for mount_line in $mounts; do
    case $mount_line in "$1 "*) mount_type=${mount_line#"$1 "} ;; esac
  done
  IFS=$old_ifs
  case $old_flags in *f*) ;; *) set +f ;; esac
  mount_dev=${mount_type%% *} mount_type=${mount_type#* }
  mount_options=${mount_type#* } mount_type=${mount_type%% *}
}

# --- SELinux ------------------------------------------------------------------------------------------

# Keeps mount(8) in the SELinux domain of this script. The domain of mount(8) may not mount on directories in /run that
# this package creates. An overlay accesses its layers with the credentials of the process that mounted it, and that
# domain is not allowed to write logs. Children inherit the context in attr/exec and run their programs in it
# (selinux(8)).
keep_selinux_domain() {
  [ -e /sys/fs/selinux/enforce ] || return 0
  IFS= read -r context </proc/self/attr/current
  printf %s "$context" 2>/dev/null >/proc/self/attr/exec
}

# --- mode ----------------------------------------------------------------------------------------------

# Sets mode (sealed, maintenance or off), reason and disks. $1: mount point of the system's root in `mounts`. Needs
# device-stack.sh for a root whose device number belongs to no block device (Btrfs).
# With MODE=auto, the mode depends only on the state of the disks, never on data that the guest can write.
decide_mode() {
  disks=''
  find_mount "$1"
  case $mount_dev in
    '') ;;
    0:*) trace_mount "$1" ;;
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
