# shellcheck shell=sh disable=SC2034,SC2154 # conf_MODE is config.sh's; its variables are its callers' answers
# What the boot scripts share: the kernel argument, what is mounted, the disks under a file system, the mode.
# Sourced, POSIX sh, without a single process: it runs in the initramfs.
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

# replaced: $1 with every $2 in it as $3.
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

# arg_MODE: the last immutafs= on the kernel command line $1, empty if there is none or it is nonsense.
read_kernel_argument() {
  arg_MODE='' arguments=$1
  while next_argument; do
    case $argument in
      immutafs=auto | immutafs=sealed | immutafs=off) arg_MODE=${argument#*=} ;;
      immutafs=*) warn "kernel argument $argument: must be auto, sealed or off, ignoring it" ;;
    esac
  done
}

# argument: the next one of `arguments`, which is then without it; false if there is none. A quote, wherever it is, begins
# or ends a stretch in which blanks separate nothing, and is no part of a word or value that it begins (the kernel's
# lib/cmdline.c, next_arg()).
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

all_read_only() { # disks
  for disk in $disks; do
    case $disk in *:1:*) ;; *) return 1 ;; esac
  done
  [ -n "$disks" ]
}

# Whether every disk is read-only by its own report, as the links below /dev/immutafs ask for
# (66-immutafs-readonly.rules): a flag counts only where the kernel has it from the device and not from the guest.
all_sealed() { # disks
  for disk in $disks; do
    case $disk in vd*:1:virtio-feature | sd*:1:* | nvme*:1:* | xvd*:1:*) ;; *) return 1 ;; esac
  done
  [ -n "$disks" ]
}

# --- mounts --------------------------------------------------------------------------------------------

# mounts: "target major:minor type options" of all that is mounted now, a line each (/proc/self/mountinfo, proc(5)).
# Once for all that is to be found in it: dash takes a system call for each of its characters.
read_mounts() {
  mounts='
'
  while read -r _ _ dev _ target rest; do
    flags=${rest%% *} rest=${rest#* - }
    mounts="$mounts$target $dev ${rest%% *} $flags
"
  done </proc/self/mountinfo
}

# mount_dev mount_type mount_options: of what was mounted last at $1 by `mounts`, empty if nothing was. The options are
# the mount's own.
# ($1 has no character that is escaped there.)
find_mount() {
  mount_dev='' mount_type='' mount_options=''
  case $mounts in *"
$1 "*) ;; *) return 0 ;; esac
  mount_type=${mounts##*"
$1 "}
  mount_dev=${mount_type%% *} mount_type=${mount_type#* }
  mount_type=${mount_type%%
*}
  mount_options=${mount_type#* } mount_type=${mount_type%% *}
}

# --- mode ----------------------------------------------------------------------------------------------

# mode reason disks: sealed, maintenance or off for this boot. $1: where the system's root is, in `mounts`.
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
