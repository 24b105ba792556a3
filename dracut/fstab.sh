# shellcheck shell=sh disable=SC2034,SC2154 # its variables are its callers' answers; disks is immutafs-lib.sh's
# What fstab(5) says, and what is under the devices that it names. After immutafs-lib.sh.

# fstab_source fstab_type fstab_options: the line of fstab(5) for target $2 that a block device serves, in the
# root $1; empty and false if there is none. in_fstab: whether there is a line for it, whatever serves it.
find_fstab() {
  fstab_source='' fstab_type='' fstab_options='' in_fstab=''
  [ -r "$1/etc/fstab" ] || return 1
  while read -r source target type options _ || [ -n "$source" ]; do
    case $source in '#'*) continue ;; esac
    plain_target
    [ "$target" = "$2" ] || continue
    in_fstab=1
    is_device "$source" || continue
    unescape "${options:-defaults}"
    fstab_source=$source fstab_type=$type fstab_options=$plain
  done <"$1/etc/fstab"
  [ -n "$fstab_source" ]
}

# target: the second field of a line of fstab, as a path.
plain_target() {
  unescape "$target"
  target=$plain
  while :; do
    case $target in
      *//*) target=${target%%//*}/${target#*//} ;;
      ?*/) target=${target%/} ;;
      *) return ;;
    esac
  done
}

# plain: a field of fstab without its octal escapes (fstab(5)). The four that getmntent(3) knows need no process.
unescape() { # $1: field
  plain='' left=$1
  while :; do
    case $left in *\\[0-3][0-7][0-7]*) ;; *) break ;; esac
    before=${left%%\\[0-3][0-7][0-7]*}
    left=${left#"$before"?}
    octal=${left%"${left#???}"} left=${left#???}
    plain=$plain$before
    case $octal in
      # Neither a field nor a variable of a shell can hold it.
      000) plain=$plain\\000 ;;
      011) plain="$plain	" ;;
      012)
        plain="$plain
"
        ;;
      040) plain="$plain " ;;
      134) plain=$plain\\ ;;
      *) plain=$plain$(printf %b "\\0$octal") ;;
    esac
  done
  plain=$plain$left
}

# plain: the first field of a line of fstab as udev names its links in /dev/disk: without its escapes, and a tag without
# the quotes around its value (systemd, fstab_node_to_udev_node()) and encoded.
plain_source() { # $1: source
  unescape "$1"
  case $plain in UUID=* | LABEL=* | PARTUUID=* | PARTLABEL=*) ;; *) return 0 ;; esac
  tag=${plain%%=*} value=${plain#*=}
  case $value in
    \"*\" | \'*\') value=${value#?} value=${value%?} ;;
  esac
  # The usual ones need no process.
  case $value in *[!A-Za-z0-9#+.:=@_-]*) value=$(encode "$value") ;; esac
  plain=$tag=$value
}

# Prints a tag's value with each byte as \xNN that is neither one of udev's plain characters nor part of a character in
# UTF-8 (libblkid, blkid_encode_string()). For a subshell: it leaves its variables behind.
encode() { # $1: value
  left=$1
  byte=$(printf '[\200-\277]')
  two=$(printf '[\302-\337]')$byte
  three=$(printf '\340[\240-\277]')$byte
  three_more=$(printf '[\341-\354\356\357]')$byte$byte
  three_last=$(printf '\355[\200-\237]')$byte
  four=$(printf '\360[\220-\277]')$byte$byte
  four_more=$(printf '[\361-\363]')$byte$byte$byte
  four_last=$(printf '\364[\200-\217]')$byte$byte
  while [ -n "$left" ]; do
    # shellcheck disable=SC2254 # patterns
    case $left in
      [A-Za-z0-9#+.:=@_-]*) next=${left#?} ;;
      $two*) next=${left#??} ;;
      $three* | $three_more* | $three_last*) next=${left#???} ;;
      $four* | $four_more* | $four_last*) next=${left#????} ;;
      *)
        next=${left#?}
        printf '\\x%02x' "'${left%"$next"}"
        left=$next
        continue
        ;;
    esac
    printf %s "${left%"$next"}"
    left=$next
  done
}

# var_is: what serves /var in the root $1: `own`, its own folder; `device`, a line of fstab, which is then in fstab_*;
# or else the file that says what. systemd prefers a unit of the administrator's to fstab.
find_var() {
  unit=$1/etc/systemd/system/var.mount var_is=own
  if [ -e "$unit" ] || [ -L "$unit" ]; then
    is_masked "$unit" || var_is=/etc/systemd/system/var.mount
  elif find_fstab "$1" /var; then
    var_is=device
    return
  elif [ -n "$in_fstab" ]; then
    var_is=/etc/fstab
  fi
  fstab_source=''
}

# Whether a unit is a link to /dev/null, or empty: it then mounts nothing (systemd.unit(5)).
is_masked() { # $1: its file
  # shellcheck disable=SC3013 # dash, bash and busybox have it
  [ "$1" -ef /dev/null ] || { [ -f "$1" ] && [ ! -s "$1" ]; }
}

is_device() { # $1: first field of a line of fstab
  case $1 in /dev/* | UUID=* | LABEL=* | PARTUUID=* | PARTLABEL=*) ;; *) return 1 ;; esac
}

# node: the device node of a source as in fstab, on a sealed disk if there is such.
source_node() { # $1: source
  plain_source "$1"
  set -- "$plain"
  case $1 in
    UUID=*) node=/dev/disk/by-uuid/${1#*=} ;;
    LABEL=*) node=/dev/disk/by-label/${1#*=} ;;
    PARTUUID=*) node=/dev/disk/by-partuuid/${1#*=} ;;
    PARTLABEL=*) node=/dev/disk/by-partlabel/${1#*=} ;;
    *) node=$1 ;;
  esac
  prefer_sealed
}

# node: by the link that only a disk that the host made read-only can have, where there is one
# (66-immutafs-readonly.rules). The usual one may go to a copy of it.
prefer_sealed() { # usual: as udev has it for all
  usual=$node
  case $node in
    /dev/disk/by-uuid/?* | /dev/disk/by-label/?* | /dev/disk/by-partuuid/?* | /dev/disk/by-partlabel/?*)
      [ ! -b "/dev/immutafs/${node#/dev/disk/}" ] || node=/dev/immutafs/${node#/dev/disk/}
      ;;
  esac
}

# node disks: likewise resolved, and the disks under it; false if there is no such device.
find_source() { # $1: source
  disks=''
  source_node "$1"
  [ -b "$node" ] || return 1
  for device in /sys/class/block/*; do
    # shellcheck disable=SC3013 # dash, bash and busybox have it, and readlink(1) would be a process
    [ "/dev/${device##*/}" -ef "$node" ] || continue
    node=/dev/${device##*/}
    find_disks "$device"
    return
  done
  node=$(readlink -f "$node") && find_disks "/sys/class/block/${node##*/}"
}

# Whether every disk under a source as in fstab is read-only.
is_read_only_source() { # $1: source
  find_source "$1" && all_read_only
}

# As systemd would, and if that is refused, without replaying its log. A guest that was killed while it was writable
# and then sealed has logs that cannot be written out (xfs(5), ext4(5): norecovery); `immutafs-agent status` says so.
mount_read_only() { # $1: options as in fstab, or nothing; $2: type, or nothing; $3: device; $4: where
  mount -o "${1:+$1,}ro" ${2:+-t "$2"} "$3" "$4" && return 0
  mount -o "${1:+$1,}ro,norecovery" ${2:+-t "$2"} "$3" "$4" || return 0
  target=${4#/sysroot}
  echo "immutafs: warning: ${target:-/} is mounted with norecovery: it was not shut down cleanly before it was sealed" >&2
}

# Whether what fstab has for a target is the system's: on a disk that is read-only, or on a disk of the root
# (MODE=sealed seals a writable one too).
is_sealed_source() { # $1: as in fstab
  root_disks=$disks
  find_source "$1"
  own_disks=$disks disks=$root_disks
  for disk in $own_disks; do
    case $disk in *:1:*) return 0 ;; esac
    case " $root_disks" in *" ${disk%%:*}:"*) return 0 ;; esac
  done
  return 1
}
