# shellcheck shell=sh disable=SC2034,SC2154 # persist-directory and the files that it sources share the variables
# Finds the mounts and disks of paths for persist-directory. Source after immutafs-lib.sh, fstab.sh and unit-files.sh.
# Paths must not contain a character that mountinfo escapes, as in PERSIST and PERSIST_STORE.

# Sets mount_lines to the lines of mountinfo (proc_pid_mountinfo(5)), each as
# "id parent device root target options type source super-options".
read_mount_lines() {
  mount_lines=''
  while read -r id parent dev top target rest; do
    flags=${rest%% *} rest=${rest#* - }
    mount_lines="$mount_lines$id $parent $dev $top $target $flags $rest$newline"
  done </proc/self/mountinfo
}

# Sets m_dev, m_top, m_target, m_options, m_type, m_source and m_super to the mount that serves a path, as the kernel
# finds it: from the root on, the nearest mount point on the path. Looks below the mounts of PERSIST itself, and sets
# m_hidden if there is one on the path.
find_serving() { # $1: path
  wanted=$1 current='' m_hidden=''
  set -f
  while next_serving; do :; done
  set +f
  IFS=$blank
}

# Moves on to the mount that is on the mount `current` and whose mount point is the nearest on the path; returns false if
# there is none.
next_serving() {
  nearest='' nearest_target=''
  IFS=$newline
  for line in $mount_lines; do
    IFS=' '
    # shellcheck disable=SC2086 # fields
    set -- $line
    if [ -z "$current" ]; then
      [ "$5" = / ] || continue
    else
      if [ "$2" != "$current" ] || [ "$5" = / ]; then continue; fi
      case $wanted/ in "$5"/*) ;; *) continue ;; esac
      # Of two mounts at the same mount point, the later one is visible.
      [ -z "$nearest" ] || [ "${#5}" -le "${#nearest_target}" ] || continue
      if is_kept_mount "$3" "$4" "$5"; then
        m_hidden=1
        continue
      fi
    fi
    nearest=$1 nearest_target=$5
    m_dev=$3 m_top=$4 m_target=$5 m_options=$6 m_type=$7 m_source=$8 m_super=${9-}
    [ -n "$current" ] || break
  done
  current=$nearest
  [ -n "$nearest" ]
}

# Whether a mount shows the directory of the store that belongs to its mount point.
is_kept_mount() { # $1: device; $2: directory in its file system; $3: mount point
  [ -n "$store_dev" ] && [ "$1" = "$store_dev" ] || return 1
  name_in_store "$3"
  [ "$2" = "${store_top%/}/$kept_name" ]
}

# Sets mount_below to the mount point of a mount below a path, or to the empty string. Leaves out the mounts of PERSIST,
# and sets is_mounted if one of these is at the path itself.
find_mount_below() { # $1: path
  mount_below='' is_mounted='' above=$1
  set -f
  IFS=$newline
  for line in $mount_lines; do
    IFS=' '
    # shellcheck disable=SC2086 # fields
    set -- $line
    case $5/ in "$above"/*) ;; *) continue ;; esac
    if is_kept_mount "$3" "$4" "$5"; then
      [ "$5" != "$above" ] || is_mounted=1
    elif [ "$5" != "$above" ]; then
      mount_below=$5
    fi
  done
  set +f
  IFS=$blank
}

# Sets disks to the disks under the mount of find_serving; to the empty string if it is not on a disk.
find_mount_disks() {
  disks=''
  case $m_dev:$m_type in
    0:*:btrfs) find_source "$m_source" ;;
    0:*) ;;
    *) [ ! -e "/sys/dev/block/$m_dev" ] || find_disks "/sys/dev/block/$m_dev" ;;
  esac
  # These devices are in memory, or in a file on an unknown file system.
  case $disks in loop* | ram* | zram*) disks='' ;; esac
}

is_on_disks() { # $1: disks; reads disks
  for disk in $disks; do
    case " $1" in *" ${disk%%:*}:"*) return 0 ;; esac
  done
  return 1
}

# Sets found_disk to a disk of `disks` whose state is read-only (1) or writable (0); returns false if there is none.
has_disk() { # $1: 0 or 1
  for disk in $disks; do
    found_disk=${disk%%:*}
    case $disk in *":$1:"*) return 0 ;; esac
  done
  return 1
}
