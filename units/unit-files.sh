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
    printf '%s\n' "${text#*"$newline"}" >"$out/${text%%"$newline"*}.d/immutafs.conf"
  done
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
