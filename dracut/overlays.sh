# shellcheck shell=sh disable=SC2034,SC2154 # variables of assemble-var and of the files that it sources
# Mounts an overlay on each directory of OVERLAY on the root file system, for assemble-var. The upper layers share the
# tmpfs of /var. The lower layers are below read-only mounts of their file systems in $run, because the overlays hide the
# directories themselves. These mounts are not noexec, nosuid and nodev, because on the first kernels that have overlayfs
# a file has the options of the mount of its layer (struct file, f_path).
#
# A failure concerns one path. It is recorded in boot.env; ON_FAILURE does not apply.

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
  error='' paths='' view='' mounted_any='' made_tmpfs=''
  for path in $chosen; do
    paths="$paths $root$path"
  done
  # shellcheck disable=SC2086 # a list
  owners=$(stat -c '%h %a %u:%g %n' $paths 2>/dev/null)
  if load_overlay && provide_tmpfs; then
    ! mount_together || return 0
    # Now with mount(8), which explains an error. Some of the mounts may exist.
    read_mounts
    find_mount "$overlay_view"
    if make_folders && { [ -n "$mount_dev" ] || bind_private "$root/" "$overlay_view" ro; }; then view=$overlay_view; fi
  fi
  common_error=$error
  for path in $chosen; do
    name_layers "$path"
    error=$common_error
    find_mount "$root$path"
    if [ -n "$view" ] && { [ "$mount_type" = overlay ] || mount_one "$root$path" "$view$path"; }; then
      mounted_any=1
      note_overlay "$path" overlay
    else
      note_overlay "$path" failed "$error"
    fi
  done
  [ -z "$mounted_any" ] || return 0
  [ -z "$view" ] || umount "$view" 2>/dev/null
  [ -z "$made_tmpfs" ] || umount "$tmpfs" 2>/dev/null
}

# Makes the directories and mounts of all overlays with one process; returns false if that failed for any of them.
mount_together() {
  set -- directory 0755 0:0 "$run" directory 0755 0:0 "$overlay_view" directory 0755 0:0 "$tmpfs/below" \
    view ro "$root/" "$overlay_view"
  for path in $chosen; do
    name_layers "$path"
    find_owner "$root$path" && is_listed "$root$path" "$links" || return 1
    find_overlay_options "$path"
    set -- "$@" directory 0755 0:0 "$tmpfs/below/$name" \
      directory "$folder_mode" "$folder_owner" "$upper" directory 0755 0:0 "$work" \
      overlay "$options" "lowerdir=$overlay_view$path,upperdir=$upper,workdir=$work" "$root$path"
  done
  "$parts/make-mounts" "$@" 2>/dev/null || return 1
  for path in $chosen; do
    note_overlay "$path" overlay
  done
}

provide_tmpfs() {
  [ -z "$has_tmpfs" ] || return 0
  try mkdir -p "$tmpfs" && mount_tmpfs && made_tmpfs=1
}

# Makes the directories of all layers, with one mkdir(1) for each mode. The root directory of an overlay has the mode and
# owner of its upper layer.
make_folders() {
  modes='' folders=$overlay_view
  for path in $chosen; do
    find_owner "$root$path" || continue
    case " $modes " in *" $folder_mode "*) continue ;; esac
    modes="$modes $folder_mode" mode_to_make=$folder_mode
    for other in $chosen; do
      if find_owner "$root$other" && [ "$folder_mode" = "$mode_to_make" ]; then
        name_layers "$other"
        folders="$folders $upper $work"
      fi
    done
    # shellcheck disable=SC2086 # a list
    try mkdir -p -m "$mode_to_make" $folders || return 1
    folders=''
  done
  [ -n "$modes" ] || fail 'the directory cannot be read'
}

# Sets links, folder_mode and folder_owner from owners; returns false if stat(1) could not read the directory.
find_owner() { # $1: directory
  newline='
'
  owner=$newline$owners$newline
  case $owner in *" $1$newline"*) ;; *) return 1 ;; esac
  owner=${owner%%" $1$newline"*}
  owner=${owner##*"$newline"}
  links=${owner%% *} owner=${owner#* }
  folder_mode=${owner% *} folder_owner=${owner#* }
}

# Mounts one overlay, whose layers exist. Sets error on failure.
mount_one() { # $1: mount point; $2: lower layer; reads upper and work
  find_owner "$1" || fail 'the directory cannot be read' || return 1
  is_listed "$2" "$links" || fail 'the directory has subdirectories, but its entries cannot be read' || return 1
  [ "$folder_owner" = 0:0 ] || try chown "$folder_owner" "$upper" || return 1
  find_overlay_options "$path"
  try mount -t overlay -o "${options}lowerdir=$2,upperdir=$upper,workdir=$work" immutafs "$1"
}
