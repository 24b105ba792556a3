# shellcheck shell=sh
# Decides whether a boot may format SCRATCH_DEVICE, and marks it. Source after library.sh. Every check sets
# reason and remedy and returns false if not.

# Initialise so that nothing is inherited from the environment.
path='' mark_limit=''
scratch_disk=/run/immutafs/scratch-disk scratch_mapping=immutafs-scratch

# Sets reason and remedy, one line each, and returns false.
refuse() { # $1: reason; $2: remedy
  reason=$1 remedy=$2
  return 1
}

# Sets machine to the UUID that the host gives the guest; without one, to the machine ID (machine-id(5)).
find_machine() {
  machine=''
  for machine_file in /sys/class/dmi/id/product_uuid /etc/machine-id; do
    { read -r machine <"$machine_file"; } 2>/dev/null
    case $machine in
      # No ID: the host gave the guest no UUID, or the image is not configured (machine-id(5)).
      *[!0-9A-Za-z-]* | uninitialized) machine='' ;;
      *[!0-]*) ;;
      *) machine='' ;;
    esac
    [ -z "$machine" ] || break
  done
  # Kernels before 4.9 and later ones differ in the case of the UUID.
  case $machine in *[A-F]*) machine=$(printf %s "$machine" | tr A-F a-f) ;; esac
  [ -n "$machine" ] || refuse 'the guest has no UUID from the host and no machine ID' \
    'Give the guest a UUID (libvirt: <uuid>).'
}

# Finds the device of a link in /dev/disk/by-id. Sets device to its node, and disks to the disks under it.
find_scratch_device() { # $1: link
  "$parts/immutafs-boot" valid SCRATCH_DEVICE "$1" || refuse "$1 does not identify a disk by its serial number or WWN" \
    'Name a link in /dev/disk/by-id that begins with virtio-, scsi-, wwn- or nvme-. If there is none, give the disk a serial number (libvirt: <serial>).' ||
    return
  kernel_name "$1" || refuse "$1 does not exist" \
    'Attach the disk, with this serial number.' || return
  device=/dev/$kernel_name device_sys=/sys/class/block/$kernel_name disks=''
  case $kernel_name in
    vd* | sd* | nvme*) ;;
    *) refuse "$1 ($device) is not a disk of the host or a partition of one" 'Name such a disk or partition.' || return ;;
  esac
  find_disks "$device_sys" ||
    refuse "the disks under $1 are unknown" 'See the journal of this boot for the error of immutafs-boot.'
}

# Whether nothing uses a device. Sets device_number. scratch-mark verifies the same by opening the device exclusively, but only
# this function can say what uses the device.
is_unused_device() { # reads device, device_sys and disks
  for device_user in "$device_sys"/holders/*; do
    [ ! -e "$device_user" ] || refuse "$device is part of ${device_user##*/}" 'Name another device, or take it out of this one.' ||
      return
  done
  for device_user in "$device_sys/${device##*/}"*/partition; do
    [ ! -e "$device_user" ] || refuse "$device has partitions" 'Name one of them, or another device.' || return
  done
  device_disks=$disks disks=''
  find_mount /
  trace_mount || refuse 'the disks under / are unknown' 'See the journal of this boot for the error of immutafs-boot.' ||
    return
  device_root_disks=$disks disks=$device_disks
  for device_disk in $disks; do
    case $device_disk in
      *:1:*) refuse "$device is on the read-only disk ${device_disk%%:*}" 'Have the host leave this disk writable.' || return ;;
    esac
    case " $device_root_disks" in
      *" ${device_disk%%:*}:"*) refuse "$device is on the disk of /" 'Name a device on another disk.' || return ;;
    esac
  done
  read -r device_number <"$device_sys/dev"
  case $mounts in
    *" $device_number "*) refuse "$device is mounted" 'Name another device, or unmount it.' || return ;;
  esac
}

# Reads the record that open-scratch has made in this boot. Sets device_state, device_reason and device_remedy, and opened to
# the number of the device; all are empty without a record.
read_device_record() {
  device_state='' device_reason='' device_remedy='' opened=''
  [ -r /run/immutafs/scratch-device ] || return 0
  while IFS= read -r line; do
    case $line in
      STATE=*) device_state=${line#*=} ;;
      REASON=*) device_reason=${line#*=} ;;
      REMEDY=*) device_remedy=${line#*=} ;;
      DEVICE=*) opened=${line#*=} ;;
    esac
  done </run/immutafs/scratch-device
}

# Runs scratch-mark. Sets mark_output to its output, and on failure reason to the state of the device that it prints. mark_limit
# is a command that limits its time, or empty.
scratch_mark() { # $1: command; $2…: arguments after the device
  mark_command=$1
  shift
  mark_output=$($mark_limit "$parts/scratch-mark" "$mark_command" "$device" "$@" 2>&1) && return
  mark_it="immutafs-agent prepare --apply --only scratch --scratch-device $device"
  case $mark_output in
    'has no mark'*) mark_remedy="Mark it while the system disk is writable: \`$mark_it\`." ;;
    'is marked for another machine'* | 'has the mark of another device'*)
      mark_remedy="If its content is not needed, mark it while the system disk is writable: \`$mark_it --wipe $device\`."
      ;;
    'has other data'* | 'has a damaged mark'*)
      mark_remedy="Another program has written to it. If its content is not needed, mark it while the system disk is writable: \`$mark_it --wipe $device\`."
      ;;
    'does not support discard'*) mark_remedy="Have the host attach the disk with discard='unmap'." ;;
    *) mark_remedy='Name another device, or see dmesg.' ;;
  esac
  refuse "$device ${mark_output:-could not be examined}" "$mark_remedy"
}
