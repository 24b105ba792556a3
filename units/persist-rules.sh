# shellcheck shell=sh disable=SC2034,SC2154 # the callers read the variables; escaped is set by unit-files.sh
# Rules for PERSIST that depend on the configuration alone, for immutafs-generator, persist-directory and mount-persisted.
# Source after immutafs-lib.sh, fstab.sh and unit-files.sh.

# Sets reason and remedy, one line each, and returns false.
refuse() { # $1: reason; $2: remedy
  reason=$1 remedy=$2
  return 1
}

# Paths from which programs are started, or that grant access, without an action of the user who owns the program: at
# boot, by a timer, at a login or by a service that runs as root.
autostart_paths='
/etc/NetworkManager
/etc/X11
/etc/bash_completion.d
/etc/binfmt.d
/etc/containers
/etc/cron.d
/etc/cron.daily
/etc/cron.hourly
/etc/cron.monthly
/etc/cron.weekly
/etc/dbus-1
/etc/dhcp
/etc/dnf
/etc/init.d
/etc/kernel
/etc/ld.so.conf.d
/etc/logrotate.d
/etc/modprobe.d
/etc/modules-load.d
/etc/pam.d
/etc/polkit-1
/etc/profile.d
/etc/rc.d
/etc/rsyslog.d
/etc/security
/etc/skel
/etc/ssh
/etc/sudoers.d
/etc/sysctl.d
/etc/systemd
/etc/tmpfiles.d
/etc/udev
/etc/xdg
/etc/yum
/home
/root
/usr
/var/lib/cloud
/var/lib/confexts
/var/lib/containers
/var/lib/docker
/var/lib/extensions
/var/lib/machines
/var/lib/polkit-1
/var/lib/portables
/var/lib/systemd
/var/spool/at
/var/spool/cron
'

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
  check_path "$1" && check_autostart "$1" "$2" && check_overlays "$1" && check_store_path "$1" && check_fstab "$1"
}

check_path() { # $1: path
  case $1 in
    / | /etc | /usr | /var) refuse "$1 is too much" 'Name the directories below it that must be kept.' ;;
    /bin | /bin/* | /sbin | /sbin/* | /lib | /lib/* | /lib64 | /lib64/*)
      refuse "$1 contains the programs of the system" 'Remove it from PERSIST.'
      ;;
    /boot | /boot/* | /efi | /efi/*) refuse "$1 determines the next boot" 'Remove it from PERSIST.' ;;
    /dev | /dev/* | /proc | /proc/* | /sys | /sys/* | /run | /run/*)
      refuse "$1 is not on a disk" 'Remove it from PERSIST.'
      ;;
    /etc/immutafs | /etc/immutafs/* | /etc/selinux | /etc/selinux/* | /etc/sysconfig | /etc/sysconfig/* | /etc/lvm | /etc/lvm/*)
      refuse "$1 configures this agent or the boot" 'Remove it from PERSIST.'
      ;;
  esac
}

check_autostart() { # $1: path; $2: options
  case ,$2, in *,autostart,*) return 0 ;; esac
  for entry in $autostart_paths; do
    case $1/:$entry/ in "$entry"/*:*) ;; *:"$1"/*) ;; *) continue ;; esac
    refuse "programs are started from $entry, or it grants access" \
      "To keep it all the same, write $1:${2:+$2,}autostart in PERSIST. Root in an earlier boot may have written it."
    return
  done
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
  if [ -r /etc/fstab ]; then
    while read -r source target _ || [ -n "$source" ]; do
      case $source in '#'* | '') continue ;; esac
      normalise_target
      case $target in
        "$1") refuse "/etc/fstab mounts a file system on $1" 'Remove it from PERSIST, or its line from fstab.' || return ;;
        "$1"/*)
          refuse "/etc/fstab mounts a file system on $target" \
            "In PERSIST, name the directories of $1 beside $target." || return
          ;;
      esac
    done </etc/fstab
  fi
  escape_path "$1"
  for folder in /etc/systemd/system /usr/lib/systemd/system; do
    if [ -e "$folder/$escaped.mount" ] || [ -L "$folder/$escaped.mount" ]; then
      refuse "$folder/$escaped.mount mounts a file system on $1" 'Remove it from PERSIST, or remove the unit.' || return
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
  [ -r /etc/fstab ] || return 0
  while read -r source target type options _ || [ -n "$source" ]; do
    case $source in '#'* | '') continue ;; esac
    normalise_target
    case $conf_PERSIST_STORE/ in
      "$target"/*) [ "${#target}" -lt "${#store_target}" ] || store_options=$type,$options store_target=$target ;;
    esac
  done </etc/fstab
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
