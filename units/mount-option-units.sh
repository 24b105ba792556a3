# shellcheck shell=sh disable=SC2034,SC2154 # variables of immutafs-generator and of the files that it sources
# Writes the units that set the mount options of MOUNT_OPTIONS in a sealed boot, for immutafs-generator.

# A mount that the initramfs has given its options needs no unit, except at shutdown: a bind mount on a directory of /var
# is kept as /var is, and programs run from /run at the end of the shutdown (dracut-shutdown.service).
add_mount_option_units() {
  services_with_options=' '
  expand_mount_options
  items_left=$option_items
  read_fstab_targets /etc/fstab
  while next_option_item; do
    case $item_path in
      '/run/user/*')
        add_user_runtime_units
        continue
        ;;
    esac
    find_mount "$item_path"
    if [ -z "$mount_dev" ] || ! has_mount_options; then
      add_mount_options_service
    else
      case $item_path in /var/*) is_mounted_by_fstab || keep_at_shutdown "$item_path" ;; esac
    fi
    [ "$item_path" != /run ] || permit_programs_at_shutdown
  done
}

has_mount_options() { # reads item_options and mount_options
  wanted=$item_options,
  while [ -n "$wanted" ]; do
    case ",$mount_options," in *",${wanted%%,*},"*) ;; *) return 1 ;; esac
    wanted=${wanted#*,}
  done
}

# local-fs.target waits for the service, unless fstab mounts the path with nofail, and so possibly after the boot.
add_mount_options_service() {
  escape_path "$item_path"
  service=immutafs-mount-options@$escaped.service
  find_fstab '' "$item_path" || :
  case ,$fstab_options, in
    *,nofail,*) set -- ;;
    *) set -- Before=local-fs.target ;;
  esac
  add_dropin "$service" '[Unit]' "RequiresMountsFor=$item_path" "$@"
  add_command "$service" "$item_path"
}

# Makes the service run set-mount-options with $item_options at boot. Several items of MOUNT_OPTIONS may name the same
# path. $1: service; $2: path.
add_command() {
  case $services_with_options in
    *" $1 "*) add_dropin "$1" '[Service]' "ExecStart=$set_mount_options $item_options $2" ;;
    *)
      add_dropin "$1" '[Service]' ExecStart= "ExecStart=$set_mount_options $item_options $2"
      case $1 in *@.service) ;; *) local_fs_wants="$local_fs_wants $1" ;; esac
      ;;
  esac
  services_with_options="$services_with_options$1 "
}

# systemd-shutdown(8) runs /run/initramfs/shutdown, and only if /run permits programs.
permit_programs_at_shutdown() {
  case ,$item_options, in *,noexec,*) ;; *) return 0 ;; esac
  service=immutafs-mount-options@run.service
  case $services_with_options in
    *" $service "*) ;;
    *) add_command "$service" /run ;;
  esac
  add_dropin "$service" '[Service]' "ExecStop=$set_mount_options exec /run"
}

# logind or user-runtime-dir@.service mounts /run/user/UID before it starts user@UID.service.
add_user_runtime_units() {
  add_dropin user@.service '[Unit]' Wants=immutafs-user-runtime@%i.service After=immutafs-user-runtime@%i.service
  add_command immutafs-user-runtime@.service /run/user/%i
}
