# shellcheck shell=sh
# Mounts the overlay and its layers for assemble-var, or a placeholder if the disk's own directory cannot be read. Source
# after library.sh.

tmpfs=/run/var
# The mount options of a lower layer that is a separate file system.
lower_options=ro,nosuid,nodev,noexec
mounted_tmpfs=''

# Mounts the overlay on $1, which is /var or a directory below /var, with $root before it if $root is set. On failure,
# sets error, undoes its mounts and returns false.
assemble() {
  layer_name=${1#"$root"}
  layer_name=${layer_name#/}
  case $layer_name in
    var) lower=$run/lower upper=$tmpfs/upper work=$tmpfs/work ;;
    *) name_layers "$layer_name" && lower=$run/below/$layer_name ;;
  esac
  mounted_tmpfs='' mounted_lower=''
  mount_layers "$1" && mount_overlay "$1" && return 0
  [ -z "$mounted_lower" ] || umount "$lower" 2>/dev/null
  [ -z "$mounted_tmpfs" ] || umount "$tmpfs" 2>/dev/null
  mounted_tmpfs=''
  rmdir "$lower" "$tmpfs" 2>/dev/null
  return 1
}

# Sets layer_name, upper and work for the overlay on a directory. In names, "+" replaces "/", so "+" itself is encoded:
# otherwise /a/b and /a+b would share an upper layer.
name_layers() { # $1: path
  replace "${1#/}" + %2b
  replace "$replaced" / +
  layer_name=$replaced
  upper=$tmpfs/below/$layer_name/upper work=$tmpfs/below/$layer_name/work
}

mount_layers() { # $1: mount point; reads lower, upper and work; sets error on failure
  load_overlay || return 1
  type_at_tmpfs=''
  # If the directory does not exist, there is no mount to check.
  [ ! -d "$tmpfs" ] || unmount_stale_layer || return 1
  try mkdir -p "$lower" "$tmpfs" || return 1
  mount_lower "$1" || return 1
  mounted_lower=1
  [ "$type_at_tmpfs" = tmpfs ] || mount_tmpfs || return 1
  # The root directory of an overlay has the mode and owner of its upper layer.
  owner=$(stat -c '%h %a %u:%g' "$lower") || fail_unreadable "$lower cannot be read" || return 1
  is_listed "$lower" "${owner%% *}" || fail_unreadable "$lower has subdirectories, but its entries cannot be read" || return 1
  owner=${owner#* }
  try mkdir -p -m "${owner%% *}" "$upper" "$work" || return 1
  case $owner in *' 0:0') ;; *) try chown "${owner#* }" "$upper" || return 1 ;; esac
}

load_overlay() { # sets error on failure
  has_filesystem overlay || try modprobe overlay
  has_filesystem overlay || fail "the kernel has no overlay file system${error:+: $error}"
}

mount_tmpfs() { # sets mounted_tmpfs, or error on failure
  try mount -t tmpfs -o "size=$conf_VAR_SIZE,nr_inodes=$conf_VAR_INODES,mode=0700,nosuid,nodev,noexec" \
    immutafs "$tmpfs" || return 1
  mounted_tmpfs=1
}

# Unmounts a lower layer left by a run that was killed. Sets type_at_tmpfs to the type of the file system at $tmpfs.
unmount_stale_layer() {
  read_mounts
  find_mount "$lower"
  [ -z "$mount_dev" ] || try umount "$lower" || return 1
  find_mount "$tmpfs"
  type_at_tmpfs=$mount_type
}

# Mounts the lower layer read-only: the root's own directory, or the file system that fstab mounts on $1.
mount_lower() {
  if [ -n "$fstab_source" ]; then
    mount_lower_volume "$1"
    return
  fi
  [ -d "$1" ] || try stat "$1/." || fail_unreadable "$1 on the disk is not a readable directory: $error" || return 1
  bind_private "$1" "$lower" "$lower_options"
}

# Bind-mounts a directory for a lower layer.
bind_private() { # $1: directory; $2: mount point; $3: options
  try mount --bind "$1" "$2" || return 1
  # Make the mount private, because otherwise the overlay, which is mounted next over the same directory, would
  # propagate to $2 (mount_namespaces(7)). This needs a separate call, because busybox mount would do only one of
  # the two operations.
  try mount --make-private "$2" && try mount -o "remount,bind,$3" "$2" && return 0
  umount "$2"
  return 1
}

# Uses only one mount(2), because systemd reads mountinfo at most five times a second.
mount_lower_volume() {
  options=$fstab_options,$lower_options
  # Mount by the device node, because mount(8) does not decode fstab's escapes on its command line and does not prefer a
  # sealed disk.
  source_node "$fstab_source"
  try mount -t "$fstab_type" -o "$options" "$node" "$lower" && return 0
  lower_unreadable=1
  # A log that was not written out cannot be replayed on a read-only disk (xfs(5), ext4(5): norecovery).
  case $fstab_type in xfs | ext4 | ext3) ;; *) return 1 ;; esac
  mount -t "$fstab_type" -o "$options,norecovery" "$node" "$lower" 2>/dev/null || return 1
  error='' lower_unreadable=''
  append_boot_env "WARNING=$1: mounted with norecovery, it was not unmounted cleanly before it was sealed"
}

# Returns false if the lower layer has subdirectories according to its link count, but its listing is empty. For a
# damaged directory block, ext4 lists nothing and reports no error (fs/ext4/dir.c). Btrfs alone does not count
# subdirectories as links.
is_listed() { # $1: directory; $2: number of its links
  [ "$2" -gt 2 ] || return 0
  for entry in "$1"/* "$1"/.[!.]*; do
    if [ -e "$entry" ] || [ -L "$entry" ]; then return 0; fi
  done
  return 1
}

fail_unreadable() { # $1: reason
  lower_unreadable=1
  fail "$1"
}

# Mounts an empty, read-only tmpfs in place of a file system that cannot be read, because systemd could not mount that
# file system either and the boot would end. The tmpfs contains the mount points below $1, and for /var the directories
# and links that D-Bus of RHEL 7 and sshd of RHEL 7 and 8 need.
mount_placeholder() { # $1: target
  mount -t tmpfs -o mode=0755 immutafs "$1" || return 0
  read_fstab ''
  while read_fstab_line; do
    case $target in "$1"/*) mkdir -p "$target" ;; esac
  done
  restore_labels "$1"
  if [ "$1" = /var ]; then
    mkdir -m 0711 /var/empty /var/empty/sshd
    ln -s /run /var/run
    ln -s /run/lock /var/lock
    restore_labels /var/*
  fi
  # Without the source, mount(8) would add the options that fstab has for the target.
  mount -o remount,bind,ro,nosuid,nodev,noexec immutafs "$1"
}

mount_overlay() { # $1: mount point; reads lower, upper and work; sets error on failure
  try mount -t overlay \
    -o "${conf_VAR_OPTIONS:+$conf_VAR_OPTIONS,}lowerdir=$lower,upperdir=$upper,workdir=$work" immutafs "$1"
}

has_filesystem() { # $1: name in /proc/filesystems (proc(5))
  while read -r nodev fs_name; do
    [ "${fs_name:-$nodev}" = "$1" ] && return 0
  done </proc/filesystems
  return 1
}

try() { # $@: a command; on failure, its output becomes the error
  output=$("$@" 2>&1) && return 0
  fail "$1 failed: ${output:-no message} (${*})"
}

fail() { # $1: reason. Sets error to it, on one line, and returns false.
  error=$1
  while :; do
    case $error in
      *"
"*) error="${error%%
*} ${error#*
}" ;;
      *) return 1 ;;
    esac
  done
}
