# shellcheck shell=sh
# Commands that record why they failed. Source after library.sh.

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
