# shellcheck shell=sh disable=SC2034,SC2154 # of assemble-var and the other parts of it
# The overlay of assemble-var: its layers, and what to say where one of them is refused.

tmpfs=/run/var

# The overlay of $1, which is /var or below it, perhaps with a prefix; error says why not, and then nothing
# is left of the attempt.
assemble() {
  name=${1#"$root"}
  name=${name#/}
  case $name in
    var) lower=$run/lower upper=$tmpfs/upper work=$tmpfs/work ;;
    *)
      name=$(printf %s "$name" | tr / +)
      lower=$run/below/$name upper=$tmpfs/below/$name/upper work=$tmpfs/below/$name/work
      ;;
  esac
  mounted_tmpfs='' mounted_lower=''
  mount_layers "$1" && mount_overlay "$1" && return 0
  [ -z "$mounted_lower" ] || umount "$lower" 2>/dev/null
  [ -z "$mounted_tmpfs" ] || umount "$tmpfs" 2>/dev/null
  rmdir "$lower" "$tmpfs" 2>/dev/null
  return 1
}

mount_layers() {
  has_filesystem overlay || modprobe -q overlay 2>/dev/null
  has_filesystem overlay || fail "the kernel has no overlay file system (modprobe overlay failed)" || return 1
  mount_type=''
  # Where there is no folder yet, nothing is mounted.
  [ ! -d "$tmpfs" ] || { read_mounts && find_mount "$tmpfs"; }
  on_tmpfs=$mount_type
  try mkdir -p "$lower" "$tmpfs" || return 1
  mount_lower "$1" || return 1
  mounted_lower=1
  if [ "$on_tmpfs" != tmpfs ]; then
    try mount -t tmpfs -o "size=$conf_VAR_SIZE,nr_inodes=$conf_VAR_INODES,mode=0700,nosuid,nodev,noexec" \
      immutafs "$tmpfs" || return 1
    mounted_tmpfs=1
  fi
  # The root of the overlay has the mode and owner of its upper layer.
  owner=$(stat -c '%a %u:%g' "$lower") || fail "$lower cannot be read" || return 1
  try mkdir -p -m "${owner%% *}" "$upper" "$work" || return 1
  case $owner in *' 0:0') ;; *) try chown "${owner#* }" "$upper" || return 1 ;; esac
}

# Read-only: the root's own folder, or the file system that fstab has for $1.
mount_lower() {
  if [ -z "$fstab_source" ]; then
    [ -d "$1" ] || fail "there is no $1 on the disk" || return 1
    try mount --bind "$1" "$lower" || return 1
  elif ! try mount -t "$fstab_type" -o "$fstab_options,ro" "$fstab_source" "$lower"; then
    # A log that was not written out cannot be replayed on a read-only disk (xfs(5), ext4(5): norecovery).
    case $fstab_type in xfs | ext4 | ext3) ;; *) return 1 ;; esac
    mount -t "$fstab_type" -o "$fstab_options,ro,norecovery" "$fstab_source" "$lower" 2>/dev/null || return 1
    error=''
    append_boot_env "WARNING=$1: mounted with norecovery, it was not shut down cleanly before it was sealed"
  fi
  # Private, or the overlay, mounted next over the same folder, would appear here too (mount_namespaces(7)). Not
  # together with the bind: busybox does only one of the two.
  try mount --make-private "$lower" && try mount -o remount,bind,ro,nosuid,nodev,noexec "$lower" && return 0
  umount "$lower"
  return 1
}

mount_overlay() {
  try mount -t overlay \
    -o "${conf_VAR_OPTIONS:+$conf_VAR_OPTIONS,}lowerdir=$lower,upperdir=$upper,workdir=$work" immutafs "$1"
}

has_filesystem() { # $1: name. (/proc/filesystems, proc(5))
  while read -r nodev name_there; do
    [ "${name_there:-$nodev}" = "$1" ] && return 0
  done </proc/filesystems
  return 1
}

try() { # $@: a command; its words on stderr become the error
  said=$("$@" 2>&1) && return 0
  fail "$1 failed: ${said:-no message} (${*})"
}

fail() { # $1: why; made one line
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
