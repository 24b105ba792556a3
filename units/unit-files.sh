# shellcheck shell=sh disable=SC2034,SC2154 # the callers read the variables; immutafs-generator sets out
# Writes the unit files and drop-ins of immutafs-generator to the directory $out.

newline='
'

# Drop-ins are collected first, so that one mkdir(1) creates all directories. systemd 219 reads at most 2047 characters of
# a line, so each line names one unit.
folders='' dropins=''
add_dropin() { # $1: unit; $2…: lines
  folders="$folders$out/$1.d$newline" dropins="$dropins$1$newline"
  shift
  for line; do
    dropins="$dropins$line$newline"
  done
  dropins="$dropins$newline"
}

write_dropins() {
  [ -n "$folders" ] || return 0
  set -f
  IFS=$newline
  # shellcheck disable=SC2086 # a list
  mkdir -p $folders
  while [ -n "$dropins" ]; do
    text=${dropins%%"$newline$newline"*}
    dropins=${dropins#*"$newline$newline"}
    printf '%s\n' "${text#*"$newline"}" >>"$out/${text%%"$newline"*}.d/immutafs.conf"
  done
}

# Keeps an existing mount until systemd-shutdown(8) unmounts it. systemd 219 ignores drop-ins for a mount that it finds
# in mountinfo, but not a unit file that it has loaded before (src/core/mount.c, mount_setup_unit()).
keep_at_shutdown() { # $1: path
  # A restart would unmount it, and only the initramfs can mount it again.
  write_found_mount "$1" DefaultDependencies=no RefuseManualStop=yes
  local_fs_after="$local_fs_after $escaped.mount"
}

# Writes the unit of a mount that make-mounts or the initramfs makes, and sets escaped to the name of the unit. systemd
# finds the mount, and its condition prevents the unit from mounting anything itself: mount(8) would follow a symbolic link
# with which the owner of a directory above replaces the path. A skipped unit does not fail the units that require it.
# What= is the path itself, because systemd would make the unit require another mount.
write_found_mount() { # $1: path; $2…: lines of [Unit]
  escape_path "$1"
  found=$1
  shift
  set -- '[Unit]' "$@" 'ConditionPathExists=!/' '[Mount]' "What=$found" "Where=$found" Type=none Options=bind
  printf '%s\n' "$@" >"$out/$escaped.mount"
}

# Lets systemd alone unmount file systems. When a shutdown or a soft reboot stops blk-availability.service of LVM, its
# blkdeactivate(8) -u unmounts the file systems on device-mapper devices wherever they are mounted, except on / and a few
# other directories, and so the mounts of the lower layers. The command without -u still stops the queueing of multipath
# devices; these options exist in all versions of LVM since RHEL 7. SELinux does not let a generator read the unit.
leave_unmounting_to_systemd() {
  [ -s /usr/lib/systemd/system/blk-availability.service ] || return 0
  add_dropin blk-availability.service '[Service]' ExecStop= \
    'ExecStop=/usr/sbin/blkdeactivate -l wholevg -m disablequeueing'
}

# Units that local-fs.target wants, and units that it is ordered after. systemd loads this target and all units that the
# target names when it reads the first line of mountinfo, that is, before it reads our mounts.
local_fs_wants='' local_fs_after=''
add_local_fs_dropin() {
  [ -n "$local_fs_wants$local_fs_after" ] || return 0
  set -- '[Unit]'
  for unit in $local_fs_wants; do
    set -- "$@" "Wants=$unit"
  done
  for unit in $local_fs_after; do
    set -- "$@" "After=$unit"
  done
  add_dropin local-fs.target "$@"
}

# Sets escaped to a path in the form of a unit name (systemd-escape(1)). Starts no process for ordinary paths.
escape_path() { # $1: absolute path
  case $1 in
    *[!A-Za-z0-9/_.-]* | */.* | *//* | */) escaped=$(systemd-escape --path "$1") ;;
    *)
      replace "${1#/}" - '\x2d'
      replace "$replaced" / -
      escaped=$replaced
      ;;
  esac
}
