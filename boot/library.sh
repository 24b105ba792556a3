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

# --- units -------------------------------------------------------------------------------------------

# --- the other files of the library -------------------------------------------------------------------

parts=/usr/libexec/immutafs
# shellcheck source=boot/disks.sh
. "$parts/disks.sh"
# shellcheck source=boot/tables.sh
. "$parts/tables.sh"
# shellcheck source=boot/boot-env.sh
. "$parts/boot-env.sh"
