# shellcheck shell=sh disable=SC2034,SC2154 # its variables are its callers' answers; out is immutafs-generator's
# What immutafs-generator writes: drop-ins in the folder $out, and the names in them.

newline='
'

# Collected, since a process for the folder of each would be one for each.
folders='' dropins=''
dropin() { # $1: unit; $2…: lines
  folders="$folders$out/$1.d$newline" dropins="$dropins$1$newline"
  shift
  for line; do
    dropins="$dropins$line$newline"
  done
  dropins="$dropins$newline"
}

write_dropins() {
  [ -n "$folders" ] || return 0
  set -f
  IFS=$newline
  # shellcheck disable=SC2086 # a list
  mkdir -p $folders
  while [ -n "$dropins" ]; do
    text=${dropins%%"$newline$newline"*}
    dropins=${dropins#*"$newline$newline"}
    printf '%s\n' "${text#*"$newline"}" >>"$out/${text%%"$newline"*}.d/immutafs.conf"
  done
}

# A mount that is not to be unmounted at shutdown, but left to systemd-shutdown(8). Of a mount that it finds in mountinfo
# systemd 219 heeds no drop-in, but a unit file that it has loaded before (src/core/mount.c, mount_setup_unit()).
keep_mounted() { # $1: path; mount_options: its options, or nothing
  escape_path "$1"
  local_fs_after="$local_fs_after $escaped.mount"
  case $mount_options in '' | rw) bind=bind ;; *) bind=bind,${mount_options#rw,} ;; esac
  # It is there already. Should it be mounted anew, this does no harm.
  printf '[Unit]\nDefaultDependencies=no\n[Mount]\nWhat=%s\nWhere=%s\nType=none\nOptions=%s\n' \
    "$1" "$1" "$bind" >"$out/$escaped.mount"
}

# What local-fs.target pulls in, and what it comes after. With its first line of mountinfo, which is none of ours, systemd
# loads this target and all that it names.
local_fs_wants='' local_fs_after=''
local_fs() {
  [ -n "$local_fs_wants$local_fs_after" ] || return 0
  dropin local-fs.target '[Unit]' ${local_fs_wants:+"Wants=${local_fs_wants# }"} \
    ${local_fs_after:+"After=${local_fs_after# }"}
}

# escaped: a path as in a unit's name (systemd-escape(1)), without a process for the usual ones.
escape_path() { # $1: absolute path
  case $1 in
    *[!A-Za-z0-9/_.-]* | */.* | *//* | */) escaped=$(systemd-escape --path "$1") ;;
    *)
      replace "${1#/}" - '\x2d'
      replace "$replaced" / -
      escaped=$replaced
      ;;
  esac
}
