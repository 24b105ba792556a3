# shellcheck shell=sh
# Rules for PERSIST that depend only on the configuration, for persist-directory and mount-persisted. boot/persist-rules.ts has
# them for the generator.
# Some also apply to SCRATCH. Source after library.sh.

# The key whose paths are checked, for messages.
list=PERSIST

# Sets reason and remedy, one line each, and returns false.
refuse() { # $1: reason; $2: remedy
  reason=$1 remedy=$2
  return 1
}

# Sets kept_options to the options of the path in PERSIST. The first of several items with the same path counts.
find_options() {
  for item in $conf_PERSIST; do
    [ "${item%%:*}" = "$path" ] || continue
    kept_options=''
    case $item in *:*) kept_options=${item#*:} ;; esac
    return 0
  done
  refuse 'PERSIST does not name it' 'Reboot, so that the units of the boot fit the configuration.'
}

# Whether a path of PERSIST can be kept according to the configuration. Sets reason and remedy if not.
may_be_kept() { # $1: path; $2: its options, separated by commas
  check_path "$1" && check_autostart "$1" "$2" && check_outer "$1" "$2" && check_overlays "$1" && check_store_path "$1" && check_fstab "$1"
}

check_path() { # $1: path
  case $1 in
    / | /etc | /usr | /var) refuse "$list cannot name $1 itself" "In $list, name directories below it." ;;
    /bin | /bin/* | /sbin | /sbin/* | /lib | /lib/* | /lib64 | /lib64/*)
      refuse "$1 contains the programs of the system" "Remove it from $list."
      ;;
    /boot | /boot/* | /efi | /efi/*) refuse "$1 determines the next boot" "Remove it from $list." ;;
    /dev | /dev/* | /proc | /proc/* | /sys | /sys/* | /run | /run/*)
      refuse "$1 is not on a disk" "Remove it from $list."
      ;;
    /etc/immutafs | /etc/immutafs/* | /etc/selinux | /etc/selinux/* | /etc/sysconfig | /etc/sysconfig/* | /etc/lvm | /etc/lvm/*)
      refuse "$1 configures this agent or the boot" "Remove it from $list."
      ;;
  esac
}

# Accepts a path without the option autostart only if it is known to be data: the nearest row at or above it in
# persist-places.sh says so, and no place from which programs start is below it.
check_autostart() { # $1: path; $2: options
  case ,$2, in *,autostart,*) return 0 ;; esac
  # shellcheck source=units/persist-places.sh
  [ -n "${known_places-}" ] || . "$parts/persist-places.sh"
  nearest='' place='' inner=''
  IFS=$newline
  for line in $known_places; do
    row=${line#* }
    entry=${row%% *}
    case $1/ in
      "$entry"/*) [ "${#entry}" -le "${#nearest}" ] || nearest=$entry place=$line ;;
      *) case $line in "start $1/"*) [ -n "$inner" ] || inner=$row ;; esac ;;
    esac
  done
  IFS=$blank
  case $place in
    data*) [ -n "$inner" ] || return 0 ;;
    start*) inner=${place#* } ;;
  esac
  if [ -n "$nearest$inner" ]; then
    unsafe="${inner%% *} is not only data: ${inner#* }"
  else
    unsafe="$1 is not known to be data, and programs may be started from it"
  fi
  refuse "$unsafe" "To keep it all the same, write $1:${2:+$2,}autostart in PERSIST. Root in an earlier boot may have written it."
}

# Refuses a path that only a sealed boot mounts and that is below a kept path: in maintenance, the content that the outer
# path has in the store would be visible there, and not that of the disk.
check_outer() { # $1: path; $2: options
  case ,$2, in *,maintenance,*) return 0 ;; *,autostart,*) ;; *) return 0 ;; esac
  for item in $conf_PERSIST; do
    case $1/ in "${item%%:*}"/?*) ;; *) continue ;; esac
    [ "${item%%:*}" != "$1" ] || continue
    outer_options=''
    case $item in *:*) outer_options=${item#*:} ;; esac
    case ,$outer_options, in *,maintenance,*) ;; *,autostart,*) continue ;; esac
    refuse "in maintenance, ${item%%:*} would show what an earlier boot wrote to $1" \
      "In PERSIST, add autostart to the options of ${item%%:*}, or maintenance to those of $1." || return
  done
}

# Whether this boot mounts a path with these options. Programs that start from a path with autostart could change the
# system disk permanently while it is writable: in maintenance and in a rehearsal.
is_mounted_in_mode() { # $1: options; reads mode and rehearsal
  case ,$1,:$mode:$rehearsal in
    *,autostart,*:sealed:) ;;
    *,maintenance,*) ;;
    *,autostart,*) return 1 ;;
  esac
}

# Refuses a path that this boot does not mount. Needed if an administrator starts the service of the path manually.
check_mode() { # $1: path; $2: options
  # Without a record of the boot, the decision of the generator applies.
  [ -r "$run/boot.env" ] || return 0
  read_boot_env
  is_mounted_in_mode "$2" || refuse "programs may be started from it, and the system disk is writable in this boot" \
    "To mount it in maintenance boots, too, add maintenance to the options of $1 in PERSIST."
}

check_overlays() { # $1: path
  for item in $conf_OVERLAY; do
    case ${item%%:*} in
      "$1") refuse "$1 is also in OVERLAY" 'Remove it from OVERLAY or from PERSIST.' || return ;;
      "$1"/*)
        refuse "the overlay on ${item%%:*} is below it" "In PERSIST, name the directories beside ${item%%:*}." || return
        ;;
    esac
  done
}

check_store_path() { # $1: path
  [ -n "$conf_PERSIST_STORE" ] || refuse 'PERSIST_STORE is empty' \
    'Set PERSIST_STORE to a directory on a data disk that the host leaves writable.' || return
  case $conf_PERSIST_STORE/ in
    "$1"/*) refuse "$1 contains PERSIST_STORE" 'Name the directories beside it.' || return ;;
  esac
  case $1/ in
    "$conf_PERSIST_STORE"/*) refuse "$1 is in PERSIST_STORE" 'Remove it from PERSIST.' ;;
  esac
}

# Refuses a path that another unit mounts, or below which fstab mounts a file system: systemd would mount that file
# system on whatever an earlier boot has left at its mount point in the store.
check_fstab() { # $1: path
  read_fstab ''
  while read_fstab_line; do
    case $target in
      "$1") refuse "/etc/fstab mounts a file system on $1" "Remove it from $list, or its line from fstab." || return ;;
      "$1"/*)
        refuse "/etc/fstab mounts a file system on $target" \
          "In $list, name the directories of $1 beside $target." || return
        ;;
    esac
  done
  escape_path "$1"
  for folder in /etc/systemd/system /usr/lib/systemd/system; do
    if [ -e "$folder/$escaped.mount" ] || [ -L "$folder/$escaped.mount" ]; then
      refuse "$folder/$escaped.mount mounts a file system on $1" "Remove it from $list, or remove the unit." || return
    fi
  done
}

# Sets kept_name to the name of a path in the store. The characters of PERSIST do not include "=", so that different
# paths have different names.
name_in_store() { # $1: path
  replace "${1#/}" / =
  kept_name=${replaced:-=}
}

# Sets store_options to the options of the line in fstab that mounts the file system of the store, and store_target to
# its mount point; empty if fstab has no such line.
find_store_line() {
  store_options='' store_target=''
  read_fstab ''
  while read_fstab_line; do
    case $conf_PERSIST_STORE/ in
      "$target"/*) [ "${#target}" -lt "${#store_target}" ] || store_options=$type,$options store_target=$target ;;
    esac
  done
}

# Refuses a store whose file system systemd mounts only when the network is up.
check_store_line() {
  find_store_line
  ! is_network_store || refuse "$store_target is mounted when the network is up, after the services that use the directory" \
    'Put PERSIST_STORE on a local disk.'
}

is_network_store() { # reads store_options
  case ,$store_options, in
    ,nfs,* | ,nfs4,* | ,cifs,* | ,ceph,* | ,glusterfs,* | ,fuse.sshfs,* | *,_netdev,*) ;;
    *) return 1 ;;
  esac
}
