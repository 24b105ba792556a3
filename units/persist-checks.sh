# shellcheck shell=sh
# Checks of persist-directory and mount-persisted on the store and on the path, and the record of the result. The store is
# an attacker's input, because root in an earlier boot may have written it: nothing in it is executed or parsed, and no
# symbolic link in it is followed.
#
# Every check sets reason and remedy and returns false if the path cannot be kept.

# Initialise so that nothing is inherited from the environment.
reason='' remedy='' note='' only_checks='' store_dev='' root_dev='' root_disks=''
# Where the file system of a path is mounted for a moment if another directory of PERSIST hides the path.
view=/run/immutafs/persist-view.$$
records=/run/immutafs/persisted

# Checks the file system of the store. Sets store_mount, store_dev, store_top (the store's path in its file system),
# store_disks, root_dev and root_disks.
check_store() { # reads store_target, which find_store_line sets
  store=$conf_PERSIST_STORE store_dev='' store_top='' root_dev=''
  find_serving /
  find_mount_disks || refuse 'the disks under / are unknown' 'See the journal of this boot for the error of immutafs-boot.' ||
    return
  root_dev=$mount_dev root_disks=$disks
  find_serving "$store"
  store_mount=$mount_target
  if [ "$store_mount" = / ] || [ "${#store_mount}" -lt "${#store_target}" ]; then
    refuse "the file system of PERSIST_STORE ${store_target:+at $store_target }is not mounted" \
      "Attach the disk, and mount it by a line in /etc/fstab${store_target:+ for $store_target}, with the options nosuid,nodev,nofail."
    return
  fi
  find_mount_disks
  store_disks=$disks
  [ -n "$disks" ] || refuse "$store_mount ($mount_type) is not on a disk" 'Put PERSIST_STORE on a data disk.' || return
  ! is_on_disks "$root_disks" || refuse "$store_mount is on the disk of /" \
    'Put PERSIST_STORE on another disk, which the host leaves writable.' || return
  ! has_disk 1 || refuse "the disk $found_disk of $store_mount is read-only" \
    'Have the host leave this disk writable, or put PERSIST_STORE on another disk.' || return
  case ,$mount_options,$mount_super, in
    *,ro,*)
      refuse "$store_mount is mounted read-only" "Find the reason in /etc/fstab and in dmesg, and mount it read-write."
      return
      ;;
  esac
  for option in nosuid nodev; do
    case ,$mount_options,$mount_super, in *,"$option",*) continue ;; esac
    refuse "$store_mount is mounted without $option" "Add nosuid,nodev to the line of $store_mount in /etc/fstab."
    return
  done
  store_dev=$mount_dev store_top=${mount_root%/}${store#"$store_mount"}
  check_store_directories
}

# Checks the directories from / down to the store: none is a symbolic link, and only root can replace them, so that they
# do not change after this check. Sets store_is_new if the store itself does not exist.
check_store_directories() {
  directory=/ left=${store#/} store_is_new=''
  set --
  while :; do
    [ ! -L "$directory" ] || refuse "$directory is a symbolic link" \
      'Name the directory itself in PERSIST_STORE, and find out who made the link.' || return
    if [ ! -e "$directory" ] && [ -z "$left" ]; then
      store_is_new=1
      break
    fi
    [ -d "$directory" ] || refuse "$directory is not a directory" "Create the directory $directory." || return
    set -- "$@" "$directory"
    [ -n "$left" ] || break
    directory=${directory%/}/${left%%/*}
    case $left in */*) left=${left#*/} ;; *) left='' ;; esac
  done
  owners=$(stat -c '%u %04a' "$@") || refuse "the directories of $store cannot be read" 'See dmesg.' || return
  for directory; do
    owner=${owners%%"$newline"*} owners=${owners#*"$newline"}
    case $directory:$owner in
      "$store:0 0700") ;;
      "$store:"*) refuse "$store does not belong to root with the mode 0700 ($owner)" "chown root $store; chmod 0700 $store" || return ;;
      *':0 '??[0145][0145]) ;;
      *)
        refuse "users other than root can write to $directory, which holds PERSIST_STORE" \
          "chown root $directory; chmod go-w $directory"
        return
        ;;
    esac
  done
}

# Checks the directory of the path in the store. Sets final to it, and is_new if it does not exist.
check_content() {
  name_in_store "$path"
  final=$store/$kept_name is_new=''
  [ ! -L "$final" ] || refuse "$final is a symbolic link" 'Find out who made it, and remove it.' || return
  if [ ! -e "$final" ]; then
    is_new=1
  elif [ ! -d "$final" ]; then
    refuse "$final is not a directory" 'Find out who made it, and remove it.'
  fi
}

# Checks the path. Sets origin to the disk's own directory: in a sealed boot, that of the lower layer, without what this
# boot has written.
check_origin() {
  check_no_links "$path" || return
  find_mount_below "$path"
  [ -z "$mount_below" ] || refuse "$mount_below, a mount point, is below it" \
    "In $list, name the directories of $path beside $mount_below." || return
  find_serving "$path"
  if [ "$mount_target" = "$path" ]; then
    path_dev=$mount_dev path_root=$mount_root path_type=$mount_type
    find_serving "${path%/*}"
    # For MOUNT_OPTIONS, the boot binds a directory to itself, which does not change its content.
    [ "$mount_dev ${mount_root%/}${path#"${mount_target%/}"}" = "$path_dev $path_root" ] ||
      refuse "$path is a mount point already ($path_type)" "Remove it from $list." || return
  fi
  origin=$path hidden=$is_hidden
  if [ "$mount_type" = overlay ]; then
    lower=,$mount_super,
    lower=${lower#*,lowerdir=}
    lower=${lower%%,*}
    origin=$lower${mount_root%/}${path#"$mount_target"} hidden=''
    case $lower in
      /run/immutafs/*) ;;
      *) refuse "$mount_target is an overlay that immutafs did not mount" "Remove the path from $list." || return ;;
    esac
    check_no_links "$origin" || return
    find_serving "$origin"
  fi
  check_origin_disk || return
  # If another directory of PERSIST hides the directory on the disk, a bind mount of the disk gives access to it.
  [ -z "$hidden" ] || reach_origin || return
  if [ ! -e "$origin" ]; then
    refuse "$path does not exist on the disk" "Create it while the disk is writable, or remove it from $list."
  elif [ ! -d "$origin" ]; then
    refuse "$path is not a directory: if a program renamed a new file over a mounted file, it would fail" \
      "Keep a directory instead: move the file into a directory of its own, or name ${path%/*} in $list."
  elif [ ! -d "$path" ]; then
    refuse "$path does not exist in the kept directory above it" "mkdir $path"
  fi
}

# The path is on a system disk: a disk of the root, or another read-only disk. A system disk that is not under the root is
# writable in maintenance; the store then has a copy from an earlier sealed boot.
check_origin_disk() {
  find_mount_disks
  [ -n "$disks" ] || refuse "$path is on $mount_target ($mount_type), not on a disk" "Remove it from $list." || return
  ! is_on_disks "$store_disks" ||
    refuse "$path is on the disk of PERSIST_STORE and kept already" "Remove it from $list." || return
  is_on_disks "$root_disks" || [ -z "$is_new" ] || ! has_disk 0 ||
    refuse "$path is on the writable disk $found_disk and kept already" \
      "Remove it from $list, unless the host makes this disk read-only, too: then it is kept from the next sealed boot on."
}

# Mounts the file system of the disk's directory at $view, and sets origin to the directory there. persist-directory
# removes the mount.
reach_origin() {
  [ -z "$only_checks" ] || return 0
  mount_view "$mount_target" "$view" || return
  origin=$view${path#"${mount_target%/}"}
  check_no_links "$origin"
}

# Refuses a path with a symbolic link in it, and says what to do. make-mounts refuses a link that appears later.
check_no_links() { # $1: path
  link='' left=${1#/}
  while [ -n "$left" ]; do
    link=$link/${left%%/*}
    [ ! -L "$link" ] || refuse "$link is a symbolic link" \
      "In $list, name the directory to which it points: $(readlink -f "$link")" || return
    case $left in */*) left=${left#*/} ;; *) left='' ;; esac
  done
}

# Replaces the record of the path. The reason of a path that is kept is a note.
record() { # $1: begun, kept or failed
  name_in_store "$path"
  [ -d "$records" ] || mkdir -p "$records"
  [ "$1" != kept ] || reason=$note remedy=''
  printf 'STATE=%s\nREASON=%s\nREMEDY=%s\n' "$1" "$reason" "$remedy" >"$records/$kept_name"
}

# --- mounts and their disks ----------------------------------------------------------------------------

# Paths must not contain a character that mountinfo escapes, as in PERSIST and PERSIST_STORE.

# Sets the variables of split_mount to the mount that serves a path, which is found as the kernel finds it: from the root on, the
# nearest mount point on the path. Ignores the mounts of PERSIST itself, and sets is_hidden if one of them is on the path.
find_serving() { # $1: path
  on_path='' current='' serving='' is_hidden=''
  set -f
  IFS=$newline
  for line in $mounts; do
    prefix=${line%% *}
    # bash does not match an empty "${prefix%/}" in a pattern.
    prefix=${prefix%/}
    case $1/ in "$prefix"/*) on_path=$on_path$line$newline ;; esac
  done
  while next_serving; do :; done
  set +f
  IFS=$blank
  split_mount "$serving"
}

# Moves on to the mount in `on_path` that is on the mount `current` and whose mount point is the nearest; returns false if there
# is none.
next_serving() {
  nearest='' nearest_target=''
  for line in $on_path; do
    split_mount "$line"
    if [ -z "$current" ]; then
      [ "$mount_target" = / ] || continue
    else
      if [ "$mount_parent" != "$current" ] || [ "$mount_target" = / ]; then continue; fi
      # Of two mounts at the same mount point, the later one is visible.
      [ -z "$nearest" ] || [ "${#mount_target}" -le "${#nearest_target}" ] || continue
      if is_kept_mount; then
        is_hidden=1
        continue
      fi
    fi
    nearest=$mount_id nearest_target=$mount_target serving=$line
    [ -n "$current" ] || break
  done
  current=$nearest
  [ -n "$nearest" ]
}

# Whether the mount of split_mount shows the directory of the store that belongs to its mount point.
is_kept_mount() {
  [ -n "$store_dev" ] && [ "$mount_dev" = "$store_dev" ] || return 1
  name_in_store "$mount_target"
  [ "$mount_root" = "${store_top%/}/$kept_name" ]
}

# Sets mount_below to the mount point of a mount below a path, or to the empty string. Ignores the mounts of PERSIST, and sets
# is_mounted if one of these is at the path itself.
find_mount_below() { # $1: path
  mount_below='' is_mounted='' above=$1
  set -f
  IFS=$newline
  for line in $mounts; do
    case $line in "$above"/* | "$above "*) ;; *) continue ;; esac
    split_mount "$line"
    if is_kept_mount; then
      [ "$mount_target" != "$above" ] || is_mounted=1
    elif [ "$mount_target" != "$above" ]; then
      mount_below=$mount_target
    fi
  done
  set +f
  IFS=$blank
}

# Sets disks to the disks under the mount of find_serving; to the empty string if it is not on a disk. Returns false, with
# the empty string, if they are unknown.
find_mount_disks() { # reads root_dev and root_disks, which check_store sets
  disks=$root_disks
  [ "$mount_dev" != "$root_dev" ] || return 0
  trace_mount || return
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
