# shellcheck shell=sh disable=SC2034,SC2154 # variables of persist-directory and of the files that it sources
# Keeps all paths of PERSIST, for persist-directory, with as few processes as possible. A path that needs more than its
# mount is left to immutafs-persist@.service: a path at its first use, a path that cannot be kept, and a path whose
# directory in the store has another owner or mode. That service has a time limit of its own and fails for that path
# alone.

keep_together() {
  ready='' separate='' seen=' '
  for item in $conf_PERSIST; do
    # The first of several items with the same path counts.
    case $seen in *" ${item%%:*} "*) ;; *) seen="$seen${item%%:*} " ;; esac
  done
  is_usable=''
  if check_store && [ -z "$store_is_new" ]; then is_usable=1; fi
  only_checks=1
  set --
  for path in $seen; do
    if [ -z "$is_usable" ] || ! is_simple; then
      separate="$separate $path"
    elif [ -n "$is_mounted" ]; then
      record kept
    else
      ready="$ready $path"
      set -- "$@" "$origin" "$final"
    fi
  done
  [ -z "$ready" ] || mount_together "$@"
  [ -z "$separate" ] || keep_separately
}

# Whether a path can be kept by its mount alone, or is mounted already. Sets origin and final for a path to be mounted.
is_simple() { # reads path and seen
  reason='' remedy=''
  ! is_below_kept "$path" || return 1
  find_options && may_be_kept "$path" "$kept_options" || return 1
  find_mount_below "$path"
  [ -z "$is_mounted" ] || return 0
  check_content && [ -z "$is_new" ] && check_origin && [ -z "$hidden" ]
}

is_below_kept() { # $1: path; reads seen
  parent=${1%/*}
  while [ -n "$parent" ]; do
    case $seen in *" $parent "*) return 0 ;; esac
    parent=${parent%/*}
  done
  return 1
}

# Mounts the paths in `ready` whose directories have the owner and mode of the disk's directory. Adds the others to
# `separate`.
mount_together() { # $@: for each path in `ready`, the disk's directory and that of the store
  find_top_format
  tops=$(stat -c "$format" "$@" 2>/dev/null) || tops=''
  mounted=''
  set -- directory 0755 0:0 "${records%/*}" directory 0755 0:0 "$records"
  for path in $ready; do
    wanted_top=${tops%%"$newline"*} tops=${tops#*"$newline"}
    has_top=${tops%%"$newline"*} tops=${tops#*"$newline"}
    if [ -z "$wanted_top" ] || [ "$wanted_top" != "$has_top" ]; then
      separate="$separate $path"
      continue
    fi
    find_options && find_flags && name_in_store "$path"
    set -- "$@" keep "$flags" "$store/$kept_name" "$path" "$view.stage"
    mounted="$mounted $path"
  done
  [ -n "$mounted" ] || return 0
  all_mounted=1
  "$parts/make-mounts" "$@" 2>/dev/null || all_mounted=''
  [ -n "$all_mounted" ] || read_mount_lines
  for path in $mounted; do
    [ -n "$all_mounted" ] || find_mount_below "$path"
    if [ -n "$all_mounted" ] || [ -n "$is_mounted" ]; then record kept; else separate="$separate $path"; fi
  done
}

# Runs the services of the paths in `separate` one after the other, outer paths first. A service that has run before has to
# run again.
keep_separately() {
  # shellcheck source=dracut/overlay-paths.sh
  . "$parts/overlay-paths.sh"
  sorted=''
  for path in $separate; do
    insert_overlay "$path"
  done
  for path in $sorted; do
    escape_path "$path"
    systemctl restart "immutafs-persist@$escaped.service"
  done
}
