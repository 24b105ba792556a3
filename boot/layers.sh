# shellcheck shell=sh
# Mounts the overlay and its layers for assemble-var, or a placeholder if the disk's own directory cannot be read. Source
# after library.sh.

tmpfs=/run/var
# The mount options of a lower layer that is a separate file system.
lower_options=ro,nosuid,nodev,noexec
mounted_tmpfs=''

# Sets layer_name, upper and work for the overlay on a directory. In names, "+" replaces "/", so "+" itself is encoded:
# otherwise /a/b and /a+b would share an upper layer.
name_layers() { # $1: path
  replace "${1#/}" + %2b
  replace "$replaced" / +
  layer_name=$replaced
  upper=$tmpfs/below/$layer_name/upper work=$tmpfs/below/$layer_name/work
}

load_overlay() { # sets error on failure
  has_filesystem overlay || try modprobe overlay
  has_filesystem overlay || fail "the kernel has no overlay file system${error:+: $error}"
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
