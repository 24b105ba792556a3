# shellcheck shell=sh
# The library of the boot scripts. Every script first reads this file, which then reads the other files of the library. POSIX sh,
# in dash, bash and busybox. Starts no process unless a comment says so, because it runs in the initramfs.
#
# Every function returns its results in the variables that its comment names. Variables that only one function uses begin
# with its name or its subject.

IMMUTAFS_VERSION=0.1.0
# In the C locale, a range such as A-Z is a range of bytes.
LC_ALL=C
blank=' 	
'

warnings=''
warn() { # $1: text. Collects it for boot.env and prints it on the console.
  warnings="$warnings$1
"
  printf 'immutafs: warning: %s\n' "$1" >&2
  return 0
}

# Sets replaced to $1 with every $2 replaced by $3.
replace() {
  replaced='' replace_rest=$1
  while :; do
    case $replace_rest in *"$2"*) ;; *) break ;; esac
    replaced=$replaced${replace_rest%%"$2"*}$3
    replace_rest=${replace_rest#*"$2"}
  done
  replaced=$replaced$replace_rest
}

# Sets uptime to the seconds since the boot.
read_uptime() {
  IFS=' .' read -r uptime _ </proc/uptime
}

# --- kernel arguments -----------------------------------------------------------------------------------

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
    argument_piece=${arguments%%["$blank"\"]*}
    argument=$argument$argument_piece arguments=${arguments#"$argument_piece"}
    case $arguments in
      \"*\"*)
        arguments=${arguments#?}
        argument=$argument\"${arguments%%\"*}\" arguments=${arguments#*\"}
        ;;
      \"*) argument=$argument$arguments arguments='' ;;
      *) break ;;
    esac
  done
  argument_quoted=''
  case $argument in \"*) argument=${argument#?} argument_quoted=1 ;; esac
  case $argument in
    ?*=*)
      argument_value=${argument#?*=}
      case $argument_value in \"*) argument=${argument%"$argument_value"}${argument_value#?} argument_quoted=1 ;; esac
      ;;
  esac
  [ -z "$argument_quoted" ] || argument=${argument%\"}
}

# --- SELinux ------------------------------------------------------------------------------------------

# Keeps mount(8) in the SELinux domain of this script. The domain of mount(8) may not mount on directories in /run that
# this package creates. An overlay accesses its layers with the credentials of the process that mounted it, and that
# domain is not allowed to write logs. Children inherit the context in attr/exec and run their programs in it
# (selinux(8)).
keep_selinux_domain() {
  [ -e /sys/fs/selinux/enforce ] || return 0
  IFS= read -r selinux_context </proc/self/attr/current
  printf %s "$selinux_context" 2>/dev/null >/proc/self/attr/exec
}

# --- mode ----------------------------------------------------------------------------------------------

# Sets mode (sealed, maintenance or off), reason and disks. $1: mount point of the system's root in `mounts`.
# With MODE=auto, the mode depends only on the state of the disks, never on data that the guest can write. If immutafs-boot
# does not tell the disks, the boot is sealed, and disks_error is set, because a sealed disk could not be used otherwise.
decide_mode() {
  disks_error=''
  find_mount "$1"
  trace_mount || disks_error="the disks under / are unknown (exit code $? of immutafs-boot)"
  mode=${arg_MODE:-$conf_MODE} reason=${config_error:-"MODE=$conf_MODE"}
  [ -n "$arg_MODE" ] && reason="kernel argument immutafs=$arg_MODE"
  if [ "$mode" != auto ]; then
    disks_error=''
    return
  fi
  if [ -n "$disks_error" ]; then
    mode=sealed reason=$disks_error
    return
  fi
  mode=maintenance reason="no disk under / is known (device ${mount_dev:-none}, $mount_type)"
  for mode_rest in $disks; do
    mode_disk=${mode_rest%%:*} mode_rest=${mode_rest#*:}
    if [ "${mode_rest%%:*}" = 1 ]; then
      mode=sealed reason="disk $mode_disk is read-only (${mode_rest#*:})"
      return 0
    fi
    reason="disk $mode_disk is writable"
  done
}

# --- configuration -------------------------------------------------------------------------------------

# Sets conf_KEY for each key that the boot uses, conf_FORWARD, conf_FORWARD_STATE, overlay_items and option_items
# (boot/config.ts). Without an answer of immutafs-boot, sets config_error and the strictest values.
read_config() { # $1: file
  config_error=''
  config_lines=$("$parts/immutafs-boot" config "$1") && eval "$config_lines" && return
  config_error="the configuration is unknown (exit code $? of immutafs-boot)"
  set_strictest_config
  warn "$config_error"
}

# Mounts a file system read-only, first as systemd would. If that fails, tries again without replaying the log (xfs(5),
# ext4(5): norecovery): if a guest was killed while its disk was writable and the disk was then sealed, the log cannot
# be replayed. `immutafs-agent status` reports such a mount.
mount_read_only() { # $1: options as in fstab, or empty; $2: type, or empty; $3: device; $4: mount point
  mount -o "${1:+$1,}ro" ${2:+-t "$2"} "$3" "$4" && return 0
  mount -o "${1:+$1,}ro,norecovery" ${2:+-t "$2"} "$3" "$4" || return 0
  read_only_target=${4#/sysroot}
  echo "immutafs: warning: ${read_only_target:-/} is mounted with norecovery: it was not unmounted cleanly before it was sealed" >&2
}

# --- units -------------------------------------------------------------------------------------------

# Sets escaped to a path in the form of a unit name (systemd-escape(1)). Starts a process only for a path with other characters
# than those of OVERLAY and PERSIST.
escape_path() { # $1: absolute path
  case $1/ in
    *[!A-Za-z0-9/:_.+@-]* | *//* | */./* | */../*) escaped=$(systemd-escape --path "$1") ;;
    *)
      replace "${1#/}" - '\x2d'
      replace "$replaced" / -
      replace "$replaced" + '\x2b'
      replace "$replaced" @ '\x40'
      case $replaced in .*) replaced='\x2e'${replaced#.} ;; esac
      escaped=$replaced
      ;;
  esac
}

# --- the other files of the library -------------------------------------------------------------------

parts=/usr/libexec/immutafs
# shellcheck source=boot/disks.sh
. "$parts/disks.sh"
# shellcheck source=boot/tables.sh
. "$parts/tables.sh"
# shellcheck source=boot/boot-env.sh
. "$parts/boot-env.sh"
