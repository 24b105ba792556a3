# shellcheck shell=sh disable=SC2034,SC2154 # the callers and the files that they source share the variables
# Finds the mounts and disks of paths for persist-directory and mount-persisted. Source after immutafs-lib.sh, fstab.sh and
# unit-files.sh. Paths must not contain a character that mountinfo escapes, as in PERSIST and PERSIST_STORE.

# Sets mount_lines to the lines of mountinfo (proc_pid_mountinfo(5)), each as
# "target id parent device root options type source super-options". Leaves out the mounts below directories that are not
# on a disk. Starts cat(1), because dash needs a system call for each character that it reads from mountinfo itself.
read_mount_lines() {
  mount_lines=''
  set -f
  IFS=$newline
  # shellcheck disable=SC2013 # lines, because of IFS
  for line in $(cat /proc/self/mountinfo); do
    IFS=' '
    # shellcheck disable=SC2086 # fields
    set -- $line
    case $5 in /dev/* | /proc/* | /sys/*) continue ;; esac
    mount_lines="$mount_lines$5 $1 $2 $3 $4 $6 ${line#* - }$newline"
  done
  set +f
  IFS=$blank
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
    prefix=${line%% *}
    # bash does not match an empty "${prefix%/}" in a pattern.
    prefix=${prefix%/}
    case $wanted/ in "$prefix"/*) ;; *) continue ;; esac
    IFS=' '
    # shellcheck disable=SC2086 # fields
    set -- $line
    if [ -z "$current" ]; then
      [ "$1" = / ] || continue
    else
      if [ "$3" != "$current" ] || [ "$1" = / ]; then continue; fi
      # Of two mounts at the same mount point, the later one is visible.
      [ -z "$nearest" ] || [ "${#1}" -le "${#nearest_target}" ] || continue
      if is_kept_mount "$4" "$5" "$1"; then
        m_hidden=1
        continue
      fi
    fi
    nearest=$2 nearest_target=$1
    m_target=$1 m_dev=$4 m_top=$5 m_options=$6 m_type=$7 m_source=$8 m_super=${9-}
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
    case $line in "$above"/* | "$above "*) ;; *) continue ;; esac
    IFS=' '
    # shellcheck disable=SC2086 # fields
    set -- $line
    if is_kept_mount "$4" "$5" "$1"; then
      [ "$1" != "$above" ] || is_mounted=1
    elif [ "$1" != "$above" ]; then
      mount_below=$1
    fi
  done
  set +f
  IFS=$blank
}

# Sets disks to the disks under the mount of find_serving; to the empty string if it is not on a disk.
find_mount_disks() { # reads root_dev and root_disks, which check_store sets
  disks=$root_disks
  [ "$m_dev" != "$root_dev" ] || return 0
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

# Sets flags to the options of the mount.
find_flags() { # reads kept_options
  flags=rw
  for flag in suid dev exec; do
    case ,$kept_options, in *,"$flag",*) ;; *) flag=no$flag ;; esac
    flags=$flags,$flag
  done
}
