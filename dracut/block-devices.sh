# shellcheck shell=sh disable=SC2034,SC2154 # the callers read the variables; disks is set by immutafs-lib.sh
# Functions for block devices: kernel names, udev's data, and the impostors of sealed devices. Source after
# immutafs-lib.sh and fstab.sh.

# Has a line "IMPOSTOR=DEVICE SEALED-DEVICE IDENTITY" for each impostor that the boot found and did not use. boot.env
# includes these lines.
impostors=/run/immutafs/impostors

note_impostor() { # $1: device; $2: sealed device; $3: the identity that both devices have; $4: not empty if it is in use
  record="IMPOSTOR=$1 $2 $3"
  if [ -r "$impostors" ]; then
    while IFS= read -r line; do
      [ "$line" != "$record" ] || return 0
    done <"$impostors"
  fi
  [ -d /run/immutafs ] || mkdir -p /run/immutafs
  printf '%s\n' "$record" >>"$impostors"
  [ -n "${4:-}" ] ||
    printf 'immutafs: warning: %s has the same %s as the sealed device %s and is not used\n' "$1" "$3" "$2" >&2
}

# Sets root_source, root_options and root_type from the kernel command line $1 (bootparam(7)); if an argument is
# repeated, its last value is used. Sets arg_MODE like read_kernel_argument, without a warning.
read_root_arguments() {
  root_source='' root_options='' root_type='' arg_MODE='' arguments=$1
  while next_argument; do
    case $argument in
      root=*) root_source=${argument#root=} ;;
      rootflags=*) root_options=${argument#rootflags=} ;;
      rootfstype=*) root_type=${argument#rootfstype=} ;;
      immutafs=auto | immutafs=sealed | immutafs=off) arg_MODE=${argument#*=} ;;
    esac
  done
}

# Waits until udev has processed its queue, so that its links are complete. udev loads drivers and waits for them, so
# all disks have been detected by then. Starts no process if the queue is empty.
wait_for_udev() { # $1: maximum, in seconds
  [ ! -e /run/udev/queue ] || udevadm settle "--timeout=$1" || warn "udev is still busy after $1 s; disks may be missing"
}

# Sets name to the kernel name of a device node or of a link to a device node; returns false if there is no such device.
kernel_name() { # $1: node
  name=''
  [ -b "$1" ] || return 1
  for device in /sys/class/block/*; do
    # shellcheck disable=SC3013 # dash, bash and busybox have it, and readlink(1) would start a process
    [ "/dev/${device##*/}" -ef "$1" ] || continue
    name=${device##*/}
    return
  done
  return 1
}

# Sets name to the kernel name of the device with a number, or to the empty string if there is no such device.
name_of_number() { # $1: major:minor
  name=''
  while IFS='=' read -r word value; do
    [ "$word" != DEVNAME ] || name=$value
  done 2>/dev/null <"/sys/dev/block/$1/uevent"
}

# Sets fs_type, uuid, partuuid (ID_FS_TYPE, ID_FS_UUID_ENC, ID_PART_ENTRY_UUID) and aliases (links, each followed by a
# space) from udev's database. A value that udev does not know is empty.
read_udev_data() { # $1: kernel name
  fs_type='' uuid='' partuuid='' aliases='' number=''
  { read -r number <"/sys/class/block/$1/dev"; } 2>/dev/null
  [ -r "/run/udev/data/b$number" ] || return 0
  while IFS= read -r line; do
    case $line in
      S:*) aliases="$aliases/dev/${line#S:} " ;;
      E:ID_FS_TYPE=*) fs_type=${line#*=} ;;
      E:ID_FS_UUID_ENC=*) uuid=${line#*=} ;;
      E:ID_PART_ENTRY_UUID=*) partuuid=${line#*=} ;;
    esac
  done <"/run/udev/data/b$number"
}

# Whether any LVM physical volume is on a disk that the host made read-only.
has_sealed_volumes() {
  for sealed_link in /dev/block/immutafs/lvm/*; do
    [ ! -b "$sealed_link" ] || return 0
  done
  return 1
}
