# shellcheck shell=sh
# Finds mounts, the lines of fstab, the disks under a block device, a mount or a source in fstab, and their read-only state;
# udev's data.

newline='
'

# Sets disks to "NAME:READ-ONLY:EVIDENCE " for each disk under a block device, through partitions and stacks of
# device-mapper and md, and disks_state to sealed, read-only or writable (boot/disks.ts). Without an answer of the
# program, returns false, disks is empty, and no function below counts the device as read-only.
find_disks() { # $1: sysfs directory
  ask_for_disks disks "$1"
  set -- $?
  disks=$answer_disks
  return "$1"
}

# Sets answer_disks, with a space after each word, and disks_state.
ask_for_disks() { # $@: arguments of immutafs-boot
  answer_disks='' disks_state=writable
  answer=$("$parts/immutafs-boot" "$@") || return
  {
    read -r _
    read -r _
    read -r answer_disks
    read -r disks_state
  } <<EOT
$answer
EOT
  answer_disks=${answer_disks:+$answer_disks }
}

# Whether all disks that were found last are read-only.
all_read_only() {
  case $disks_state in sealed | read-only) ;; *) return 1 ;; esac
}

# Whether all disks that were found last report that they are read-only, which is the condition for links below
# /dev/block/immutafs (66-immutafs-readonly.rules, which makes none for CD-ROM drives).
all_sealed() {
  [ "$disks_state" = sealed ]
}

# --- mounts --------------------------------------------------------------------------------------------

# Sets mounts to the lines of /proc/self/mountinfo (proc_pid_mountinfo(5)), each as
# "target id parent major:minor root options type source super-options", after a newline.
# Starts cat(1), because a shell reads one line at a time: dash needs a system call for each character, and bash seeks back to
# the end of each line, where the kernel returns other text if an earlier line has changed meanwhile. If cat(1) fails, the shell
# reads the table itself, because a caller concludes that a mount which is not in the table does not exist.
read_mounts() {
  mounts=$newline mounts_ifs=$IFS mounts_shell_flags=$-
  mounts_text=$(cat /proc/self/mountinfo)
  [ -n "$mounts_text" ] || while IFS= read -r mounts_line; do
    mounts_text=$mounts_text$mounts_line$newline
  done </proc/self/mountinfo
  set -f
  IFS=$newline
  for mounts_line in $mounts_text; do
    mounts_rest=${mounts_line#* * * } mounts_ids=${mounts_line%" ${mounts_line#* * * }"}
    mounts_root=${mounts_rest%% *} mounts_rest=${mounts_rest#* }
    mounts_target=${mounts_rest%% *} mounts_rest=${mounts_rest#* }
    mounts="$mounts$mounts_target $mounts_ids $mounts_root ${mounts_rest%% *} ${mounts_rest#* - }$newline"
  done
  IFS=$mounts_ifs
  case $mounts_shell_flags in *f*) ;; *) set +f ;; esac
}

# Sets mount_target, mount_dev, mount_options (those of this mount), mount_type and mount_source from a line of `mounts`. All are
# empty for an empty line. The escapes of mountinfo are kept.
split_mount() { # $1: line
  mount_target=${1%% *} mount_rest=${1#* * * }
  mount_dev=${mount_rest%% *} mount_rest=${mount_rest#* * }
  mount_options=${mount_rest%% *} mount_rest=${mount_rest#* }
  mount_type=${mount_rest%% *} mount_rest=${mount_rest#* }
  mount_source=${mount_rest%% *}
}

# Sets the variables of split_mount to the topmost mount at $1 in `mounts`; all are empty if there is none. $1 must not contain
# a character that mountinfo escapes.
find_mount() {
  mount_found=''
  case $mounts in
    *"$newline$1 "*)
      # Line by line, because the time of ${mounts##*…} is quadratic in the length: tens of milliseconds in dash and bash.
      mount_ifs=$IFS mount_shell_flags=$-
      set -f
      IFS=$newline
      for mount_line in $mounts; do
        case $mount_line in "$1 "*) mount_found=$mount_line ;; esac
      done
      IFS=$mount_ifs
      case $mount_shell_flags in *f*) ;; *) set +f ;; esac
      ;;
  esac
  split_mount "$mount_found"
}

# --- devices under a mount -----------------------------------------------------------------------------

# Sets disks and disks_state to those of the mount that find_mount found. Both are empty for a mount without a device.
# Returns false without an answer of the program.
trace_mount() { # reads mount_dev, mount_type and mount_source
  disks='' disks_state=''
  case $mount_dev:$mount_type in
    :*) return 0 ;;
    0:*:btrfs) ask_for_disks btrfs-disks "$mount_source" || [ $? = 1 ] ;;
    0:*) return 0 ;;
    *)
      [ -e "/sys/dev/block/$mount_dev" ] || return 0
      ask_for_disks disks "/sys/dev/block/$mount_dev"
      ;;
  esac
  set -- $?
  disks=$answer_disks
  return "$1"
}

# --- names and udev's data -----------------------------------------------------------------------------

# This file has a line "IMPOSTOR=DEVICE SEALED-DEVICE IDENTITY" for each impostor that the boot found and did not use.
# boot.env includes these lines.
impostors=/run/immutafs/impostors

# Sets kernel_name to that of a device node or of a link to a device node; returns false if there is no such device.
kernel_name() { # $1: node
  kernel_name=''
  [ -b "$1" ] || return 1
  for name_device in /sys/class/block/*; do
    # shellcheck disable=SC3013 # dash, bash and busybox have it, and readlink(1) would start a process
    [ "/dev/${name_device##*/}" -ef "$1" ] || continue
    kernel_name=${name_device##*/}
    return
  done
  return 1
}

# Sets fs_type and label (ID_FS_TYPE, ID_FS_LABEL_ENC) from udev's database. A value that udev does not know is empty.
read_udev_data() { # $1: kernel name
  fs_type='' label='' number=''
  { read -r number <"/sys/class/block/$1/dev"; } 2>/dev/null
  [ -r "/run/udev/data/b$number" ] || return 0
  while IFS= read -r udev_line; do
    case $udev_line in
      E:ID_FS_TYPE=*) fs_type=${udev_line#*=} ;;
      E:ID_FS_LABEL_ENC=*) label=${udev_line#*=} ;;
    esac
  done <"/run/udev/data/b$number"
}

# --- fstab ---------------------------------------------------------------------------------------------

# Reads fstab for read_fstab_line, once for each root. Without an answer of immutafs-boot, there are no lines, and error is set,
# so that the boot ends as ON_FAILURE says.
fstab_root=none
read_fstab() { # $1: root
  if [ "$fstab_root" != "$1" ]; then
    fstab_root=$1 fstab_text=$("$parts/immutafs-boot" fstab "$1/etc/fstab")
    set -- $?
    fstab_text=${fstab_text:+$fstab_text$newline}
    [ "$1" = 0 ] || { fstab_text='' error=${error:-"/etc/fstab is unknown (exit code $1 of immutafs-boot)"}; }
  fi
  fstab_left=$fstab_text
}

# Sets source, target, type, options, plain_options and is_device to the next line of fstab; returns false at the end.
# plain_options are the options without escapes, and is_device is empty unless the source is a device (boot/fstab.ts).
read_fstab_line() {
  [ -n "$fstab_left" ] || return 1
  fstab_line=${fstab_left%%"$newline"*} fstab_left=${fstab_left#*"$newline"}
  source='' target='' type='' options='' plain_options='' is_device=''
  eval "$fstab_line"
}

is_device() { # $1: first field of a line of fstab
  case $1 in /dev/* | UUID=* | LABEL=* | PARTUUID=* | PARTLABEL=*) ;; *) return 1 ;; esac
}

# Sets node to the device file of a source in fstab: that of the sealed device, if a sealed disk has the identity that the
# source names (boot/fstab.ts). Without an answer of immutafs-boot, all are empty.
source_node() { # $1: source
  node='' found_node='' found_disks='' found_state=writable
  source_lines=$("$parts/immutafs-boot" source "$1") && eval "$source_lines"
}

# Sets node to the device node of a source, with links resolved, and disks to the disks under the device. Returns false
# if the device does not exist, or if its disks are unknown.
find_source() { # $1: source
  source_node "$1"
  disks=$found_disks disks_state=$found_state
  [ -n "$found_node" ] && node=$found_node
}

