# shellcheck shell=sh
# Mounts an overlay on each directory of OVERLAY on the root file system, for assemble-var. The upper layers share the
# tmpfs of /var. The lower layers are below read-only mounts of their file systems in $run, because the overlays hide the
# directories themselves. These mounts are not noexec, nosuid and nodev, because on the first kernels that have overlayfs
# a file has the options of the mount of its layer (struct file, f_path).
#
# A failure affects only its path. It is recorded in boot.env; ON_FAILURE does not apply.

# States in boot.env: overlay; deferred (late boot mounts it); begun (late boot has not finished); refused; missing;
# unneeded (not on the system disk); failed.
overlay_view=$run/root

# Mounts the overlays on directories of the root file system. Leaves error as it is, because it belongs to /var.
assemble_overlays() { # reads root
  var_error=$error
  # `mounts` was read before /var was assembled.
  has_tmpfs=$mounted_tmpfs
  find_mount "$tmpfs"
  [ "$mount_type" != tmpfs ] || has_tmpfs=1
  sort_overlays
  read_fstab_mounts "$root"
  chosen=''
  for path in $sorted; do
    why=''
    if examine_overlay "$root" "$path"; then
      chosen="$chosen $path"
    elif [ -n "$state" ]; then
      note_overlay "$path" "$state" "$why"
    fi
  done
  [ -z "$chosen" ] || mount_overlays
  error=$var_error
}

# Whether the initramfs can mount the overlay on a path. If not, sets state, and why unless the state is overlay or
# deferred.
examine_overlay() { # $1: root; $2: path
  state=refused
  ! is_refused "$2" || return 1
  find_mount "$1$2"
  if [ "$mount_type" = overlay ]; then
    name_layers "$2"
    state=overlay
    [ -d "$upper" ] || { state=failed && why='another program has mounted an overlay there'; }
    return 1
  fi
  state=failed
  ! has_link "$1" "$2" || return 1
  place_overlay "$1" "$2"
  [ "$state" = now ] && is_usable "$1" "$2"
}

# Whether a path is a directory on which an overlay hides no mount. If not, sets state and why.
is_usable() { # $1: root; $2: path
  if ! [ -e "$1$2" ]; then
    state=failed
    try stat "$1$2"
    why=$error
    case $error in *'No such file'*) state=missing why='it does not exist' ;; esac
    return 1
  fi
  state=failed why='it is not a directory'
  [ -d "$1$2" ] || return 1
  case $mounts in
    *"
$1$2/"*)
      why='a file system is mounted below it, which an overlay would hide'
      return 1
      ;;
  esac
  why=''
}

note_overlay() { # $1: path; $2: state; $3: reason, or empty
  overlay_records="${overlay_records}OVERLAY=$1 $2${3:+ $3}
"
  [ -z "$3" ] || printf 'immutafs: OVERLAY: %s: %s\n' "$1" "$3" >&2
}

# Mounts the overlays on the paths in chosen, with as few processes as possible.
mount_overlays() {
  error='' paths='' made_tmpfs='' mounted_any=''
  for path in $chosen; do
    paths="$paths $root$path"
  done
  # shellcheck disable=SC2086 # a list
  owners=$(stat -c '%h %a %u:%g %n' $paths 2>/dev/null)
  steps="directory 0755 0:0 $run directory 0755 0:0 $overlay_view"
  find_mount "$overlay_view"
  [ -n "$mount_dev" ] || steps="$steps view ro $root/ $overlay_view"
  paths=''
  for path in $chosen; do
    if add_overlay_steps "$root$path" "$root$path" "$overlay_view$path"; then
      paths="$paths $path"
    else
      note_overlay "$path" failed "$error"
    fi
  done
  error=''
  { load_overlay && provide_tmpfs && run_steps; } || find_what_is_mounted
  common_error=$error
  for path in $paths; do
    error=$common_error
    if [ -z "$error" ] || has_overlay "$root$path" || mount_singly; then
      mounted_any=1
      note_overlay "$path" overlay
    else
      note_overlay "$path" failed "$error"
    fi
  done
  [ -z "$mounted_any" ] || return 0
  umount "$overlay_view" 2>/dev/null
  [ -z "$made_tmpfs" ] || umount "$tmpfs" 2>/dev/null
}

# Some of the mounts may exist after a failure. Sets has_view to a non-empty string if the view is mounted.
find_what_is_mounted() {
  read_mounts
  find_mount "$overlay_view"
  has_view=$mount_dev
}

has_overlay() { # $1: mount point
  find_mount "$1"
  [ "$mount_type" = overlay ]
}

# Mounts the overlay of one path, after all of them could not be mounted together. If the view is mounted, the error of this
# path replaces the common error.
mount_singly() {
  [ -n "$has_view" ] || return 1
  steps=''
  add_overlay_steps "$root$path" "$root$path" "$overlay_view$path" && run_steps
}

provide_tmpfs() { # reads has_tmpfs; sets made_tmpfs, or error on failure
  [ -z "$has_tmpfs" ] || return 0
  try mkdir -p "$tmpfs" && mount_tmpfs && made_tmpfs=1
}

# Sets links, folder_mode and folder_owner from owners; returns false if stat(1) could not read the directory.
find_owner() { # $1: directory
  owner=$newline$owners$newline
  case $owner in *" $1$newline"*) ;; *) return 1 ;; esac
  owner=${owner%%" $1$newline"*}
  owner=${owner##*"$newline"}
  links=${owner%% *} owner=${owner#* }
  folder_mode=${owner% *} folder_owner=${owner#* }
}

# Adds the steps of one overlay to steps. The root directory of an overlay has the mode and owner of its upper layer. Sets
# error on failure.
add_overlay_steps() { # $1: mount point; $2: the directory; $3: where it is the lower layer
  find_owner "$1" || fail 'the directory cannot be read' || return 1
  is_listed "$2" "$links" || fail 'the directory has subdirectories, but its entries cannot be read' || return 1
  name_layers "$path"
  find_overlay_options "$path"
  steps="$steps directory 0755 0:0 $tmpfs/below directory 0755 0:0 $tmpfs/below/$layer_name \
    directory $folder_mode $folder_owner $upper directory 0755 0:0 $work \
    overlay ${options:-,} lowerdir=$3,upperdir=$upper,workdir=$work $1"
}

# Sets error on failure.
run_steps() {
  # shellcheck disable=SC2086 # a list
  output=$("$parts/make-mounts" $steps 2>&1) && return 0
  fail "${output:-make-mounts ended without a message}"
}

# --- late boot -----------------------------------------------------------------------------------------

# Mounts the overlay on a path whose file system the initramfs could not mount.
assemble_overlay_late() { # $1: path
  is_overlay_path "$1" || return 0
  read_mounts
  find_mount "$1"
  [ "$mount_type" != overlay ] || return 0
  append_boot_env "OVERLAY=$1 begun"
  path=$1 root='' state=failed why='' error=''
  if examine_late "$1" && mount_late "$1"; then
    copy_label "$lower" "$1"
    append_boot_env "OVERLAY=$1 overlay"
    return 0
  fi
  why=${why:-$error}
  append_boot_env "OVERLAY=$1 $state $why"
  printf 'immutafs: OVERLAY: %s: %s\n' "$1" "$why" >&2
  [ "$state" = unneeded ]
}

# Whether an overlay can be mounted on a path; sets lower, and view if its file system has to be mounted there first. If
# not, sets state, and why or error.
examine_late() { # $1: path
  state=refused
  ! is_refused "$1" || return 1
  state=failed
  ! has_link '' "$1" || return 1
  if find_fstab '' "$1"; then
    find_volume "$1"
    return
  fi
  is_usable '' "$1" && find_view "$1"
}

# A file system that fstab mounts on the path itself: it becomes the lower layer and is not mounted there.
find_volume() { # $1: path
  if [ -n "$mount_dev" ]; then
    why="it is mounted already ($mount_type): remove x-initrd.mount from its line in /etc/fstab"
    return 1
  fi
  source_node "$fstab_source"
  [ -b "$node" ] || fail "$fstab_source does not exist" || return 1
  if ! is_sealed_source "$fstab_source"; then
    state=unneeded why="it is on a disk that the host left writable ($fstab_source)"
    return 1
  fi
  name_layers "$1"
  lower=$run/below/$layer_name view=$lower
}

# A directory of a file system that is mounted on the root or on a directory between.
find_view() { # $1: path
  above=${1%/*}
  while :; do
    name_layers "$above"
    view=$run/below/$layer_name
    [ -n "$above" ] || view=$overlay_view
    lower=$view${1#"$above"}
    find_mount "$view"
    if [ -n "$mount_dev" ]; then
      view=''
      return
    fi
    find_mount "${above:-/}"
    # A mount that is an overlay of OVERLAY hides the file system that is searched for.
    if [ -n "$mount_dev" ] && { [ "$mount_type" != overlay ] || ! is_overlay_path "$above"; }; then
      view_of=${above:-/}
      is_on_sealed_disk
      return
    fi
    [ -n "$above" ] || return 1
    above=${above%/*}
  done
}

# Whether a mount is on the sealed disk, by the rule of is_sealed_source. The root counts as sealed, whatever its disks are.
# Reads mount_dev, mount_type and view_of. If the mount is not on the sealed disk, sets state and why.
is_on_sealed_disk() {
  [ "$view_of" != / ] || return 0
  if [ "$mount_type" = overlay ]; then
    why="$view_of is an overlay of another program"
    return 1
  fi
  root_disks=$disks
  trace_mount
  own_disks=$disks disks=$root_disks state=unneeded
  for disk in $own_disks; do
    case $disk in *:1:*) return 0 ;; esac
    case " $root_disks" in *" ${disk%%:*}:"*) return 0 ;; esac
    why="$view_of is on a disk that the host left writable (${disk%%:*})"
  done
  [ -n "$own_disks" ] || why="$view_of is $mount_type, which is not on the system disk"
  return 1
}

mount_late() { # $1: path; reads lower and view
  state=failed
  find_mount "$tmpfs"
  has_tmpfs='' made_tmpfs=''
  [ "$mount_type" != tmpfs ] || has_tmpfs=1
  if load_overlay && provide_tmpfs && mount_view "$1"; then
    mount_above_view "$1" && return 0
    [ -z "$view" ] || umount "$view" 2>/dev/null
  fi
  [ -z "$made_tmpfs" ] || umount "$tmpfs" 2>/dev/null
  return 1
}

mount_view() { # $1: path
  [ -n "$view" ] || return 0
  steps="directory 0755 0:0 $run directory 0755 0:0 $run/below directory 0755 0:0 $view"
  if [ -z "$fstab_source" ]; then
    steps="$steps view ro $view_of $view"
    run_steps
  else
    run_steps || return 1
    lower_options=ro
    mount_lower_volume "$1"
  fi
}

mount_above_view() { # $1: path
  owners=$(stat -c "%h %a %u:%g $1" "$lower/." 2>/dev/null)
  steps=''
  add_overlay_steps "$1" "$lower" "$lower" && run_steps
}
