# shellcheck shell=sh
# Finds mounts, the disks under a block device and their read-only state, and udev's data.

newline='
'

# Sets disks to "NAME:READ-ONLY:EVIDENCE " for each disk under a block device, through partitions and stacks of
# device-mapper and md, and disks_state to sealed, read-only or writable (boot/disks.ts). Without an answer of the
# program, returns false, disks is empty, and the device does not count as sealed.
find_disks() { # $1: sysfs directory
  disks='' disks_state=writable
  answer=$("$parts/immutafs-boot" disks "$1") || return
  {
    read -r _
    read -r _
    read -r disks
    read -r disks_state
  } <<EOT
$answer
EOT
  disks=${disks:+$disks }
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

# Sets mount_target, mount_dev, mount_options (those of this mount) and mount_type from a line of `mounts`. All are empty for an
# empty line. The escapes of mountinfo are kept.
split_mount() { # $1: line
  mount_target=${1%% *} mount_rest=${1#* * * }
  mount_dev=${mount_rest%% *} mount_rest=${mount_rest#* * }
  mount_options=${mount_rest%% *} mount_rest=${mount_rest#* }
  mount_type=${mount_rest%% *}
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

# --- udev's data ---------------------------------------------------------------------------------------

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
