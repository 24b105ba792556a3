# shellcheck shell=sh disable=SC2034,SC2154 # variables of immutafs-generator and of the files that it sources
# Writes the units that set the mount options of MOUNT_OPTIONS in a sealed boot, for immutafs-generator.

# A mount that the initramfs has given its options needs no unit, except at shutdown: a bind mount on a directory of /var
# is kept as /var is, and programs run from /run at the end of the shutdown (dracut-shutdown.service).
add_mount_option_units() {
  services_with_options=' ' user_options=nosuid,nodev
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

# Makes the service set $item_options at boot. Several items of MOUNT_OPTIONS may name the same
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

# user-runtime-dir@.service mounts /run/user/UID before systemd starts user@UID.service, which waits for the options.
# systemd 219 of RHEL 7 has no such unit: logind itself mounts a tmpfs there, without noexec, and starts no user@UID.service.
add_user_runtime_units() {
  if [ ! -e /usr/lib/systemd/system/user-runtime-dir@.service ]; then
    share_user_runtime
    return
  fi
  add_dropin user@.service '[Unit]' Wants=immutafs-user-runtime@%i.service After=immutafs-user-runtime@%i.service
  add_command immutafs-user-runtime@.service /run/user/%i
}

# Makes logind of RHEL 7 create /run/user/UID as a directory in one tmpfs with the options, so that there is no moment in
# which a process of the user could run a program there. If mount(2) fails with EPERM, logind changes the owner of the
# directory and continues, as it does in a container without CAP_SYS_ADMIN (systemd of RHEL 7,
# src/login/logind-user.c, user_mkdir_runtime_path()). systemd of RHEL 7 is built without seccomp, so this capability is
# removed from the set of its unit file; all others stay. systemd-tmpfiles(8) labels /run/user.
share_user_runtime() { # reads item_options
  user_options=$user_options,$item_options
  find_fstab '' /run/user || :
  if [ -n "$in_fstab" ]; then
    item_path=/run/user
    add_mount_options_service
  else
    case $local_fs_wants in *' run-user.mount'*) ;; *) local_fs_wants="$local_fs_wants run-user.mount" ;; esac
    # The first line is MemTotal.
    read -r _ memory _ </proc/meminfo
    # The default of RuntimeDirectorySize= is 10% of the memory, here for all users together. Whether "%" needs to be
    # doubled in Options= depends on the version of systemd.
    printf '[Unit]\nBefore=local-fs.target\n[Mount]\nWhat=tmpfs\nWhere=/run/user\nType=tmpfs\nOptions=mode=0755,size=%sk,%s\n' \
      "$((memory / 10))" "$user_options" >"$out/run-user.mount"
  fi
  case $services_with_options in *' systemd-logind.service '*) return 0 ;; esac
  services_with_options="${services_with_options}systemd-logind.service "
  add_dropin systemd-logind.service '[Unit]' After=run-user.mount '[Service]' CapabilityBoundingSet= \
    'CapabilityBoundingSet=CAP_MAC_ADMIN CAP_AUDIT_CONTROL CAP_CHOWN CAP_KILL CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_TTY_CONFIG'
}
