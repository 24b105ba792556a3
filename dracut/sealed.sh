# shellcheck shell=sh disable=SC2034,SC2154 # its variables are its callers' answers; disks is immutafs-lib.sh's
# The disks that the host made read-only, and what poses as one of them. After immutafs-lib.sh and fstab.sh.

# "IMPOSTOR=DEVICE SEALED-DEVICE IDENTITY", a line for each that was met and passed over; for boot.env.
impostors=/run/immutafs/impostors

note_impostor() { # $1: device; $2: the sealed one; $3: what both have
  said="IMPOSTOR=$1 $2 $3"
  if [ -r "$impostors" ]; then
    while IFS= read -r line; do
      [ "$line" != "$said" ] || return 0
    done <"$impostors"
  fi
  [ -d /run/immutafs ] || mkdir -p /run/immutafs
  printf '%s\n' "$said" >>"$impostors"
  printf 'immutafs: warning: %s has %s as the sealed %s has it, and is not used\n' "$1" "$3" "$2" >&2
}

# root_source root_options root_type: what the kernel command line $1 says of the root (bootparam(7)); the last of each
# counts. arg_MODE: as read_kernel_argument has it, without a warning.
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

# Until udev has processed what it knows of, so that the links are complete. Drivers have found their disks by then:
# udev itself loads them, and waits. No process where nothing is left to do.
wait_for_udev() { # $1: seconds at most
  [ ! -e /run/udev/queue ] || udevadm settle "--timeout=$1" || warn "udev is still busy after $1 s; disks may be missing"
}

# name: the kernel's name of a device node, which may be a link; false if there is none.
kernel_name() { # $1: node
  name=''
  [ -b "$1" ] || return 1
  for device in /sys/class/block/*; do
    # shellcheck disable=SC3013 # dash, bash and busybox have it, and readlink(1) would be a process
    [ "/dev/${device##*/}" -ef "$1" ] || continue
    name=${device##*/}
    return
  done
  return 1
}

# name: the kernel's name of a device by its number; empty if there is none.
name_of_number() { # $1: major:minor
  name=''
  while IFS='=' read -r word value; do
    [ "$word" != DEVNAME ] || name=$value
  done 2>/dev/null <"/sys/dev/block/$1/uevent"
}

# fs_type uuid partuuid: what udev knows of a device (ID_FS_TYPE, ID_FS_UUID_ENC, ID_PART_ENTRY_UUID), each empty
# where it knows nothing; aliases: its links, each with a space after it.
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

# Whether the host made a disk read-only that has a physical volume.
has_sealed_volumes() {
  for sealed_link in /dev/immutafs/lvm/*; do
    [ ! -b "$sealed_link" ] || return 0
  done
  return 1
}
