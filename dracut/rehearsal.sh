# shellcheck shell=sh
# Starts a rehearsal: one boot that the guest itself seals although the host left the disk writable. assemble-var
# sources this file only if a rehearsal was requested (immutafs-agent prepare --rehearse).

# The agent created the request, $rehearsal_request below the root, in a directory that only root can read and write.
# Its first line is the time limit in seconds.
# A request is older than this only if the boot that it was made for was never a maintenance boot, for example because
# the host sealed the guest first. A guest that is opened for an update later must not rehearse by surprise. A clock
# that is set to local time is off by less than this.
rehearsal_valid=86400

# Changes mode and reason, and sets rehearsal to the time limit, if a rehearsal is requested and possible. Removes the
# request from the disk first: without that, every later boot would be a rehearsal. On failure, the mode stays
# maintenance, and a warning gives the reason. $1: mount point of the root
begin_rehearsal() {
  case $arg_MODE in
    sealed | off) ignore_rehearsal "the kernel argument immutafs=$arg_MODE is set" || return 0 ;;
    '') [ "$conf_MODE" = auto ] || ignore_rehearsal "MODE=$conf_MODE is set" || return 0 ;;
  esac
  [ "$mode" = maintenance ] || ignore_rehearsal 'the host made the disk read-only and seals this boot' || return 0
  [ -n "$disks" ] || ignore_rehearsal 'the disk of / is unknown' || return 0
  for part in etc etc/immutafs etc/immutafs/rehearsal "$rehearsal_request"; do
    [ ! -L "$1/$part" ] || ignore_rehearsal "/$part is a symbolic link" || return 0
  done
  [ -f "$1/$rehearsal_request" ] || ignore_rehearsal "/$rehearsal_request is not a file" || return 0
  limit=''
  IFS= read -r limit <"$1/$rehearsal_request"
  case $limit in
    '' | 0* | *[!0-9]* | ???????*) ignore_rehearsal "/$rehearsal_request has no valid time limit" || return 0 ;;
  esac
  age=$(rehearsal_age "$1/$rehearsal_request")
  consume_request "$1" || return 0
  if [ "$age" -gt "$rehearsal_valid" ]; then
    warn "a rehearsal was requested more than a day ago and is not carried out; the request was removed"
    return 0
  fi
  rehearsal=$limit mode=sealed
  reason='rehearsal of a sealed boot, enforced by the guest alone'
}

ignore_rehearsal() { # $1: reason
  warn "a rehearsal was requested and is not carried out, because $1; \`immutafs-agent prepare --end-rehearsal\` withdraws the request"
  return 1
}

# Prints the age of a file in seconds; more than any limit if it cannot be determined.
rehearsal_age() { # $1: file
  [ -d "$run" ] || mkdir -p "$run"
  # The modification time of a new file is the current time; there is no date(1) in the initramfs.
  if printf '' >"$run/rehearsal-began" && times=$(stat -c %Y "$1" "$run/rehearsal-began"); then
    echo $((${times##*
} - ${times%%
*}))
  else
    echo $((rehearsal_valid + 1))
  fi
}

# Makes the kernel forget the inodes that are not in use. A remount drops the names of the files that were read, but not
# their inodes (fs/super.c, shrink_dcache_sb()). When SELinux loads its policy, kernels from 4.9 to 5.10, and RHEL 7's,
# cannot read the label of an inode without a name, and keep it as unlabeled_t until the inode is freed
# (security/selinux/hooks.c, inode_doinit_with_dentry()). Written twice, because the first pass only clears the mark of
# recent use (fs/inode.c, inode_lru_isolate()).
forget_inodes() {
  for _ in 1 2; do echo 2 >/proc/sys/vm/drop_caches; done 2>/dev/null
}

# Removes the request. The root is read-only afterwards, as in a sealed boot, even if the kernel argument rw is set.
consume_request() { # $1: mount point of the root
  error=''
  try mount -o remount,rw "$1"
  # Remounted read-only in any case, because the failed command may have changed the mount.
  [ -n "$error" ] || try rm -f "$1/$rehearsal_request"
  removed=$error
  [ -n "$removed" ] || [ ! -e "$1/$rehearsal_request" ] || removed="/$rehearsal_request still exists"
  error=''
  # Writes the removal to the disk as well.
  try mount -o remount,ro "$1"
  forget_inodes
  failed=${removed:-$error} error=''
  [ -n "$failed" ] || return 0
  warn "a rehearsal was requested and is not carried out, because the request could not be removed: $failed"
  return 1
}
