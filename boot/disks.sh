# shellcheck shell=sh
# Finds mounts, the disks under a block device or a mount, and their read-only state; udev's data.
# propagate-readonly, which udev runs for every device-mapper device, reads only this file.

newline='
'

# Adds "name:read-only:evidence " to disks for every disk under the block device with the sysfs directory $1, through
# partitions and stacks of device-mapper and md (Documentation/ABI/testing/sysfs-block). $2, only in a recursive call:
# `stack` if the content of a device above may differ from that of the disk.
# read-only: 0 or 1. evidence: virtio-feature (the host offered VIRTIO_BLK_F_RO, bit 5), scsi-flag (the read-only flag of
# a SCSI disk that only a hypervisor presents; the kernel sets it if the disk is write-protected), cd-rom (a CD-ROM drive
# that only a hypervisor presents), flag, none, or the value of $2.
find_disks() {
  if [ -e "$1/partition" ]; then
    find_disks "$1/.." "${2:-}"
    return
  fi
  set -- "$1" "${2:-}" "$1"/slaves/*
  if [ ! -e "$3" ]; then
    add_disk "$1" "$2"
    return
  fi
  if [ -n "$2" ] || has_content_of_slaves "$1"; then shift; else shift 2 && set -- stack "$@"; fi
  for disk_slave; do
    [ "$disk_slave" = "$1" ] || find_disks "$disk_slave" "$1"
  done
}

# Whether the content of a stacked device cannot differ from that of the devices below it. The agent has the same rule,
# with its reasons, in agent/facts/disks/block.ts.
has_content_of_slaves() { # $1: sysfs directory
  if [ -e "$1/dm" ]; then
    { read -r dm_number <"$1/dev"; } 2>/dev/null || return 1
    case $checked_tables in *" $dm_number "*) return 0 ;; esac
    check_table "$dm_number" && checked_tables="$checked_tables$dm_number "
    return
  fi
  md_level='' md_degraded=''
  { read -r md_level <"$1/md/level"; } 2>/dev/null
  case $md_level in
    linear | raid0 | raid1 | raid10) ;;
    raid4 | raid5 | raid6)
      { read -r md_degraded <"$1/md/degraded"; } 2>/dev/null
      [ "$md_degraded" = 0 ]
      ;;
    *) return 1 ;;
  esac
}

checked_tables=' '
check_table() { # $1: major:minor
  /usr/libexec/immutafs/check-tables "$1" >/dev/null
}

add_disk() { # $1: sysfs directory; $2: evidence that replaces the one found, or empty
  disk_name='' disk_ro=0 disk_evidence=none disk_features=''
  while IFS='=' read -r disk_word disk_value; do
    [ "$disk_word" = DEVNAME ] && disk_name=$disk_value
  done 2>/dev/null <"$1/uevent"
  { read -r disk_ro <"$1/ro"; } 2>/dev/null
  [ "$disk_ro" = 1 ] && disk_evidence=flag
  find_hypervisor_driver "$1"
  case $driver:$disk_ro in
    virtio_blk:*)
      { read -r disk_features <"$1/device/features"; } 2>/dev/null
      case $disk_features in ?????1*) disk_ro=1 disk_evidence=virtio-feature ;; esac
      ;;
    ?*:1) disk_evidence=scsi-flag ;;
  esac
  case $disk_name in
    sr[0-9]*)
      # The kernel sets the flag of every drive whose medium cannot be written now.
      [ "$disk_ro" = 0 ] || disk_evidence=flag
      ! is_hypervisor_cdrom "$1" "$disk_name" || disk_ro=1 disk_evidence=cd-rom
      ;;
  esac
  [ -z "$2" ] || disk_evidence=$2
  case " $disks" in *" $disk_name:$disk_ro:$disk_evidence "*) ;; *) disks="$disks$disk_name:$disk_ro:$disk_evidence " ;; esac
}

# Sets driver to the driver of the disk with the sysfs directory $1, or of its SCSI host, if only a hypervisor presents
# such a disk, and otherwise to the empty string. The agent has the same rule, with its reasons, in
# agent/facts/disks/evidence.ts.
find_hypervisor_driver() {
  if [ -e "$1/device/../../scsi_host" ]; then
    # The directory of the disk, of its target and of the host are below that of the adapter.
    set -- "$1/device/../../.." virtio_scsi
  else
    set -- "$1/device" virtio_blk
  fi
  read_driver "$1"
  case $driver in
    "$2")
      read_driver "$1/.."
      [ "$driver" = virtio-pci ] && driver=$2 || driver=''
      ;;
    vmw_pvscsi) [ "$2" = virtio_scsi ] || driver='' ;;
    *) driver='' ;;
  esac
}

# Whether a drive is a CD-ROM drive that only a hypervisor presents and that cannot write. The read-only flag of the
# kernel is no evidence. The agent has the same rule, with its reasons, in agent/facts/disks/evidence.ts.
is_hypervisor_cdrom() { # $1: sysfs directory; $2: kernel name
  cdrom_vendor=''
  { read -r cdrom_vendor <"$1/device/vendor"; } 2>/dev/null
  [ "$cdrom_vendor" = QEMU ] || return 1
  find_hypervisor_driver "$1"
  if [ -z "$driver" ]; then
    # For IDE and SATA, the directory of the port, which has no driver, is between those of the adapter and of the host.
    read_driver "$1/device/../../../.."
    case $driver in ahci | ata_piix) ;; *) return 1 ;; esac
  fi
  ! can_write_discs "$2"
}

# Whether a drive can write discs by what it reports itself (MODE SENSE), and also if the kernel does not list the drive.
can_write_discs() { # $1: kernel name
  cdrom_column=''
  # The kernel returns the file only to the first read(2) (drivers/cdrom/cdrom.c, cdrom_sysctl_info()), and read of a shell
  # needs one for each character.
  cdrom_info=$(cat /proc/sys/dev/cdrom/info 2>/dev/null)
  while IFS=':' read -r cdrom_key cdrom_values; do
    case $cdrom_key in
      'drive name')
        cdrom_count=0
        for cdrom_value in $cdrom_values; do
          cdrom_count=$((cdrom_count + 1))
          [ "$cdrom_value" != "$1" ] || cdrom_column=$cdrom_count
        done
        ;;
      'Can write CD-R' | 'Can write CD-RW' | 'Can write DVD-R' | 'Can write DVD-RAM')
        cdrom_count=0
        for cdrom_value in $cdrom_values; do
          cdrom_count=$((cdrom_count + 1))
          [ "$cdrom_count" != "$cdrom_column" ] || [ "$cdrom_value" = 0 ] || return 0
        done
        ;;
    esac
  done <<EOT
$cdrom_info
EOT
  [ -z "$cdrom_column" ]
}

read_driver() { # $1: sysfs directory of a device; sets driver
  driver=''
  while IFS='=' read -r driver_word driver_value; do
    [ "$driver_word" != DRIVER ] || driver=$driver_value
  done 2>/dev/null <"$1/uevent"
}

all_read_only() { # reads disks
  for each_disk in $disks; do
    case $each_disk in *:1:*) ;; *) return 1 ;; esac
  done
  [ -n "$disks" ]
}

# Whether all disks report that they are read-only, which is the condition for links below /dev/block/immutafs
# (66-immutafs-readonly.rules, which makes none for CD-ROM drives). A read-only flag counts only for disks that root in
# the guest cannot create.
all_sealed() { # reads disks
  for each_disk in $disks; do
    case $each_disk in *:1:virtio-feature | *:1:scsi-flag | *:1:cd-rom) ;; *) return 1 ;; esac
  done
  [ -n "$disks" ]
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

# Sets mount_target, mount_id, mount_parent (the id of the mount under it), mount_dev, mount_root (the directory of the file system that is mounted), mount_options (those
# of this mount), mount_type, mount_source and mount_super (the options of the file system) from a line of `mounts`. All are
# empty for an empty line. The escapes of mountinfo are kept.
split_mount() { # $1: line
  mount_target=${1%% *} mount_rest=${1#* }
  mount_id=${mount_rest%% *} mount_rest=${mount_rest#* }
  mount_parent=${mount_rest%% *} mount_rest=${mount_rest#* }
  mount_dev=${mount_rest%% *} mount_rest=${mount_rest#* }
  mount_root=${mount_rest%% *} mount_rest=${mount_rest#* }
  mount_options=${mount_rest%% *} mount_rest=${mount_rest#* }
  mount_type=${mount_rest%% *} mount_rest=${mount_rest#* }
  mount_source=${mount_rest%% *} mount_super=${mount_rest#* }
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

# Sets mounted (kernel name of the device of the mount that find_mount found), stack (that device and all devices under
# it, each followed by a space) and disks. All are empty for a mount without a device.
trace_mount() { # reads mount_dev, mount_type and mount_source
  mounted='' stack='' disks=''
  case $mount_dev in
    '') return ;;
    0:*)
      [ "$mount_type" = btrfs ] || return 0
      trace_btrfs
      ;;
    *)
      name_of_number "$mount_dev"
      mounted=$kernel_name
      [ -n "$mounted" ] && trace "$mounted"
      ;;
  esac
}

# The device number of a Btrfs mount belongs to no block device, but its source is one of its devices
# (fs/btrfs/super.c).
trace_btrfs() { # reads mount_source
  kernel_name "$mount_source" || return 0
  mounted=$kernel_name
  for btrfs_devices in /sys/fs/btrfs/*/devices; do
    [ -e "$btrfs_devices/$mounted" ] || continue
    for btrfs_member in "$btrfs_devices"/*; do
      trace "${btrfs_member##*/}"
    done
    return
  done
  trace "$mounted"
}

trace() { # $1: kernel name
  case " $stack" in *" $1 "*) return ;; esac
  stack="$stack$1 "
  if [ -e "/sys/class/block/$1/partition" ]; then
    for trace_parent in /sys/class/block/*/"$1"; do
      trace_parent=${trace_parent%/*}
      trace "${trace_parent##*/}"
      return
    done
  fi
  set -- "$1" "/sys/class/block/$1"/slaves/*
  if [ -e "$2" ]; then
    shift
    for trace_below; do
      trace "${trace_below##*/}"
    done
  else
    find_disks "/sys/class/block/$1"
  fi
}

# Whether a device is part of the stack under the root. If the root has no device (an overlay that the initramfs
# mounted), every mounted device counts as part of the stack.
is_in_stack() { # $1: device node; sets kernel_name
  kernel_name "$1" || return 1
  case " $stack" in *" $kernel_name "*) return 0 ;; esac
  [ -z "$stack" ] && read -r number <"/sys/class/block/$kernel_name/dev" || return 1
  case $mounts in *" $number "*) return 0 ;; esac
  return 1
}

is_sealed_device() { # $1: kernel name
  all=$disks disks=''
  find_disks "/sys/class/block/$1"
  all_sealed
  set -- $?
  disks=$all
  return "$1"
}

has_in_stack() { # $1: ID_FS_TYPE
  for stack_part in $stack; do
    read_udev_data "$stack_part"
    [ "$fs_type" != "$1" ] || return 0
  done
  return 1
}

# --- names and udev's data -----------------------------------------------------------------------------

# This file has a line "IMPOSTOR=DEVICE SEALED-DEVICE IDENTITY" for each impostor that the boot found and did not use.
# boot.env includes these lines.
impostors=/run/immutafs/impostors

note_impostor() { # $1: device; $2: sealed device; $3: the identity that both devices have; $4: not empty if it is in use
  impostor_record="IMPOSTOR=$1 $2 $3"
  if [ -r "$impostors" ]; then
    while IFS= read -r impostor_line; do
      [ "$impostor_line" != "$impostor_record" ] || return 0
    done <"$impostors"
  fi
  [ -d /run/immutafs ] || mkdir -p /run/immutafs
  printf '%s\n' "$impostor_record" >>"$impostors"
  [ -n "${4:-}" ] ||
    printf 'immutafs: warning: %s has the same %s as the sealed device %s and is not used\n' "$1" "$3" "$2" >&2
}

# Waits until udev has processed its queue, so that its links are complete. udev loads drivers and waits for them, so
# all disks have been detected by then. Starts no process if the queue is empty. Returns false at the timeout.
wait_for_udev() { # $1: maximum, in seconds
  [ -e /run/udev/queue ] || return 0
  uptime=0
  read_uptime
  settle_limit=$((uptime + $1))
  while [ "$uptime" -lt "$settle_limit" ] && udevadm settle "--timeout=$((settle_limit - uptime))"; do
    # udevadm of systemd 219 also succeeds if udevd does not answer.
    [ -e /run/udev/queue ] || return 0
    sleep 1
    read_uptime
  done
  warn "udev is still busy after $1 s; disks may be missing"
  return 1
}

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

# Sets kernel_name to that of the device with a number, or to the empty string if there is no such device.
name_of_number() { # $1: major:minor
  kernel_name=''
  while IFS='=' read -r name_word name_value; do
    [ "$name_word" != DEVNAME ] || kernel_name=$name_value
  done 2>/dev/null <"/sys/dev/block/$1/uevent"
}

# Sets fs_type, uuid, label, partuuid (ID_FS_TYPE, ID_FS_UUID_ENC, ID_FS_LABEL_ENC, ID_PART_ENTRY_UUID) and aliases
# (links, each followed by a space) from udev's database. A value that udev does not know is empty.
read_udev_data() { # $1: kernel name
  fs_type='' uuid='' label='' partuuid='' aliases='' number=''
  { read -r number <"/sys/class/block/$1/dev"; } 2>/dev/null
  [ -r "/run/udev/data/b$number" ] || return 0
  while IFS= read -r udev_line; do
    case $udev_line in
      S:*) aliases="$aliases/dev/${udev_line#S:} " ;;
      E:ID_FS_TYPE=*) fs_type=${udev_line#*=} ;;
      E:ID_FS_UUID_ENC=*) uuid=${udev_line#*=} ;;
      E:ID_FS_LABEL_ENC=*) label=${udev_line#*=} ;;
      E:ID_PART_ENTRY_UUID=*) partuuid=${udev_line#*=} ;;
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
