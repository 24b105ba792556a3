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
  has_filesystem overlay || try modprobe overlay
  has_filesystem overlay || fail "the kernel has no overlay file system${error:+: $error}" || return 1
  on_tmpfs=''
  # Where there is no folder yet, nothing is mounted.
  [ ! -d "$tmpfs" ] || look_at_layers || return 1
  try mkdir -p "$lower" "$tmpfs" || return 1
  mount_lower "$1" || return 1
  mounted_lower=1
  if [ "$on_tmpfs" != tmpfs ]; then
    try mount -t tmpfs -o "size=$conf_VAR_SIZE,nr_inodes=$conf_VAR_INODES,mode=0700,nosuid,nodev,noexec" \
      immutafs "$tmpfs" || return 1
    mounted_tmpfs=1
  fi
  # The root of the overlay has the mode and owner of its upper layer.
  owner=$(stat -c '%h %a %u:%g' "$lower") || unreadable "$lower cannot be read" || return 1
  is_listed "${owner%% *}" || unreadable "$lower has folders in it, but cannot be read" || return 1
  owner=${owner#* }
  try mkdir -p -m "${owner%% *}" "$upper" "$work" || return 1
  case $owner in *' 0:0') ;; *) try chown "${owner#* }" "$upper" || return 1 ;; esac
}

# on_tmpfs: what is mounted there. A lower layer is one of a try that was killed.
look_at_layers() {
  read_mounts
  find_mount "$lower"
  [ -z "$mount_dev" ] || try umount "$lower" || return 1
  find_mount "$tmpfs"
  on_tmpfs=$mount_type
}

# Read-only: the root's own folder, or the file system that fstab has for $1.
mount_lower() {
  if [ -n "$fstab_source" ]; then
    mount_lower_volume "$1"
    return
  fi
  [ -d "$1" ] || try stat "$1/." || unreadable "$1 on the disk is no folder that can be read: $error" || return 1
  try mount --bind "$1" "$lower" || return 1
  # Private, or the overlay, mounted next over the same folder, would appear here too (mount_namespaces(7)). Not
  # together with the bind: busybox does only one of the two.
  try mount --make-private "$lower" && try mount -o remount,bind,ro,nosuid,nodev,noexec "$lower" && return 0
  umount "$lower"
  return 1
}

# In one mount: systemd looks at mountinfo five times in a second at most.
mount_lower_volume() {
  options=$fstab_options,ro,nosuid,nodev,noexec
  # By its node: mount(8) does not know fstab's escapes on its command line, and does not prefer a sealed disk.
  source_node "$fstab_source"
  try mount -t "$fstab_type" -o "$options" "$node" "$lower" && return 0
  unreadable=1
  # A log that was not written out cannot be replayed on a read-only disk (xfs(5), ext4(5): norecovery).
  case $fstab_type in xfs | ext4 | ext3) ;; *) return 1 ;; esac
  mount -t "$fstab_type" -o "$options,norecovery" "$node" "$lower" 2>/dev/null || return 1
  error='' unreadable=''
  append_boot_env "WARNING=$1: mounted with norecovery, it was not shut down cleanly before it was sealed"
}

# Whether the lower layer shows something, if its links say that there are folders in it (all but btrfs count them).
# ext4 shows nothing, and no error, in place of a block that is damaged (fs/ext4/dir.c).
is_listed() { # $1: number of links
  [ "$1" -gt 2 ] || return 0
  for entry in "$lower"/* "$lower"/.[!.]*; do
    if [ -e "$entry" ] || [ -L "$entry" ]; then return 0; fi
  done
  return 1
}

unreadable() { # $1: why
  unreadable=1
  fail "$1"
}

# Where the disk's own cannot be read systemd could not mount it either, and the boot would end there. Empty and
# read-only, like a /var without a layer, but with what D-Bus of RHEL 7 and sshd of RHEL 7 and 8 look for in it, and what
# is mounted below it.
stand_in() { # $1: target
  mount -t tmpfs -o mode=0755 immutafs "$1" || return 0
  while read -r _ target _; do
    plain_target
    case $target in "$1"/*) mkdir -p "$target" ;; esac
  done </etc/fstab
  label "$1"
  if [ "$1" = /var ]; then
    mkdir -m 0711 /var/empty /var/empty/sshd
    ln -s /run /var/run
    ln -s /run/lock /var/lock
    label /var/*
  fi
  # With its source: without, mount(8) adds what fstab has for the target.
  mount -o remount,bind,ro,nosuid,nodev,noexec immutafs "$1"
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
