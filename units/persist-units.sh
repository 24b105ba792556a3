# shellcheck shell=sh disable=SC2154 # variables of immutafs-generator and of the files that it sources
# Units for the directories of PERSIST, written by immutafs-generator. Source after persist-rules.sh.
#
# immutafs-persist.service checks the store and the paths, and mounts the directories of the store. At the first use of a
# path, or if a path cannot be kept, it leaves the path to immutafs-persist@.service. The mount unit of each path lets
# systemd order the units that need the path. If the service fails, services with RequiresMountsFor= use the path as it is
# without PERSIST.
#
# local-fs.target waits for the service and not for the mount units. systemd reads the mount table at most five times a
# second, and if it changes more often, delays the start of every mount unit until the second is over (src/core/mount.c).

write_persist_units() {
  [ "$mode" != off ] || return 0
  # shellcheck source=units/persist-rules.sh
  . "$parts/persist-rules.sh"
  seen=' ' mounted=' ' mount_units='' awaited=' ' kept_items='' refused=''
  find_store_line
  for persisted in $conf_PERSIST; do
    path=${persisted%%:*}
    # The first of several items with the same path counts.
    case $seen in *" $path "*) continue ;; esac
    seen="$seen$path "
    kept_options=''
    case $persisted in *:*) kept_options=${persisted#*:} ;; esac
    if ! may_be_kept "$path" "$kept_options"; then
      # Without a mount unit, nothing waits for the service, which reports the reason.
      refused="$refused $path"
      continue
    fi
    # Not a failure: the content of the disk is visible.
    is_mounted_in_mode "$kept_options" || continue
    write_persist_mount
    if is_network_store; then refused="$refused $path"; else kept_items="$kept_items $persisted"; fi
  done
  [ -n "$kept_items$refused" ] || return 0
  # Waits until the mount of the store has succeeded or has failed, which it does if its device is not there in time
  # (x-systemd.device-timeout=, 90 seconds by default).
  if [ -n "$conf_PERSIST_STORE" ] && ! is_network_store; then await_mounts "$conf_PERSIST_STORE"; fi
  for path in $seen; do
    await_mounts "${path%/*}"
  done
  command="/usr/libexec/immutafs/mount-persisted ${conf_PERSIST_STORE:--} ${store_target:--}"
  for item in $kept_items ${refused:+--} $refused; do
    command="$command \\$newline$item"
  done
  set -- '[Service]' ExecStart= "ExecStart=$command" '[Unit]'
  for unit in $awaited; do
    ! exists || set -- "$@" "Wants=$unit"
    set -- "$@" "After=$unit"
  done
  # A restart of a mount mounts the directory of the store again.
  for unit in $mount_units; do
    set -- "$@" "Before=$unit" "PartOf=$unit"
  done
  add_dropin immutafs-persist.service "$@"
  local_fs_wants="$local_fs_wants immutafs-persist.service"
}

# Whether the mount unit of the store or a mount unit in a file exists. systemd 219 logs an error for every unit that is
# wanted and does not exist. Other mounts are mounted at boot if local-fs.target wants them, as it does those of fstab.
exists() { # reads unit
  escape_path "$store_target"
  [ "$unit" != "$escaped.mount" ] || return 0
  [ -e "/etc/systemd/system/$unit" ] || [ -e "/usr/lib/systemd/system/$unit" ]
}

# Lets the service wait for the mounts at and above a path, except for those of PERSIST itself. The service does not require
# them, because each path is independent of the others.
await_mounts() { # $1: path, or empty
  prefix='' left=${1#/}
  [ -z "$left" ] || left=$left/
  while [ -n "$left" ]; do
    prefix=$prefix/${left%%/*} left=${left#*/}
    case $mounted in *" $prefix "*) continue ;; esac
    escape_path "$prefix"
    case $awaited in *" $escaped.mount "*) ;; *) awaited="$awaited$escaped.mount " ;; esac
  done
}

write_persist_mount() { # reads path
  write_found_mount "$path" Wants=immutafs-persist.service After=immutafs-persist.service Before=local-fs.target
  mount_units="$mount_units $escaped.mount" mounted="$mounted$path "
}
