# shellcheck shell=sh
# The library of the boot scripts. Every script first reads this file, which then reads the other files of the library. POSIX sh,
# in dash, bash and busybox.
#
# Every function returns its results in the variables that its comment names. Variables that only one function uses begin
# with its name or its subject.

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

# Sets uptime to the seconds since the boot.
read_uptime() {
  IFS=' .' read -r uptime _ </proc/uptime
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

# --- the other files of the library -------------------------------------------------------------------

parts=/usr/libexec/immutafs
# shellcheck source=boot/disks.sh
. "$parts/disks.sh"
# shellcheck source=boot/tables.sh
. "$parts/tables.sh"
# shellcheck source=boot/boot-env.sh
. "$parts/boot-env.sh"
