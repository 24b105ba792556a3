# shellcheck shell=sh disable=SC2154 # variables of immutafs-generator and of the files that it sources
# Units for the directories of PERSIST, written by immutafs-generator. Source after persist-rules.sh.
#
# For each path, immutafs-persist@.service checks the path and the store, copies the disk's directory into the store at
# its first use, and mounts the directory of the store. The mount unit of the path lets systemd order the units that need
# the path. systemd finds the mount that the service made; the unit itself never mounts anything, for two reasons:
# - mount(8) of util-linux 2.23 ignores nosuid, nodev and noexec for a bind mount;
# - if the service fails, the mount unit is skipped by its condition. A skipped unit does not fail the units that require
#   it, so that services with RequiresMountsFor= use the path as it is without PERSIST.
# For the same reason, What= is the path itself: systemd would make the unit require the mount of the store.

write_persist_units() {
  [ "$mode" != off ] || return 0
  # shellcheck source=units/persist-rules.sh
  . "$parts/persist-rules.sh"
  write_store_target
  kept=' '
  for item in $conf_PERSIST; do
    path=${item%%:*}
    # The first of several items with the same path counts.
    case $kept in *" $path "*) continue ;; esac
    kept="$kept$path "
    kept_options=''
    case $item in *:*) kept_options=${item#*:} ;; esac
    escape_path "$path"
    path_unit=$escaped
    set -- '[Unit]'
    # Without a mount unit, nothing waits for the service, which reports the reason.
    if may_be_kept "$path" "$kept_options"; then
      write_persist_mount
      set -- "$@" "Before=$path_unit.mount"
    fi
    [ -z "${path%/*}" ] || set -- "$@" "RequiresMountsFor=${path%/*}"
    [ $# = 1 ] || add_dropin "immutafs-persist@$path_unit.service" "$@"
    local_fs_wants="$local_fs_wants immutafs-persist@$path_unit.service"
  done
}

write_persist_mount() { # reads path and path_unit
  service=immutafs-persist@$path_unit.service
  printf '[Unit]\n%s\n[Mount]\nWhat=%s\nWhere=%s\nType=none\nOptions=bind\n' \
    "Wants=$service${newline}After=$service${newline}Before=local-fs.target${newline}ConditionPathExists=!/" \
    "$path" "$path" >"$out/$path_unit.mount"
  local_fs_wants="$local_fs_wants $path_unit.mount"
}

# Writes the target for which the services wait: the mount of the store has succeeded or has failed, which
# it does if its device is not there in time (x-systemd.device-timeout=, 90 seconds by default). The services run in each
# case, and report what they find.
write_store_target() {
  find_store_line
  mounts_of_store='' prefix=''
  if [ -n "$conf_PERSIST_STORE" ] && ! is_network_store; then
    left=${conf_PERSIST_STORE#/}/
    while [ -n "$left" ]; do
      prefix=$prefix/${left%%/*} left=${left#*/}
      # Units that do not exist are ignored.
      escape_path "$prefix"
      mounts_of_store="$mounts_of_store $escaped.mount"
    done
  fi
  set -- 'Description=File system of PERSIST_STORE' DefaultDependencies=no
  [ -z "$mounts_of_store" ] || set -- "$@" "Wants=${mounts_of_store# }" "After=${mounts_of_store# }"
  { printf '[Unit]\n' && printf '%s\n' "$@"; } >"$out/immutafs-persist.target"
}
