# shellcheck shell=sh
# Reads fstab(5) and finds the disks under the devices that it names.

# Sets fstab_source, fstab_type and fstab_options from the last line of fstab, in the root $1, that mounts a block device at
# target $2. If there is no such line, clears these variables and returns false. Sets in_fstab if any line has the
# target.
find_fstab() {
  fstab_source='' fstab_type='' fstab_options='' in_fstab=''
  [ -r "$1/etc/fstab" ] || return 1
  while read_fstab_line; do
    [ "$target" = "$2" ] || continue
    in_fstab=1
    is_device "$source" || continue
    unescape "${options:-defaults}"
    fstab_source=$source fstab_type=$type fstab_options=$unescaped
  done <"$1/etc/fstab"
  [ -n "$fstab_source" ]
}

# Reads the next line of fstab that is neither empty nor a comment from stdin, and sets source, target, type and options
# to its fields, as libmount does (util-linux, libmount/src/tab_parse.c). In target, escapes are decoded and redundant
# slashes removed; the other fields are unchanged. Returns false at the end of the file. agent/facts/mounts/fstab.ts reads
# the same lines in the same way; the tests run both on test/fixtures/fstab-lines.json.
read_fstab_line() {
  while read -r source target type options more || [ -n "$source" ]; do
    case $source$target$type$options in *[[:cntrl:]]*) remove_carriage_return ;; esac
    case $source in '' | '#'*) continue ;; esac
    normalise_target
    return 0
  done
  return 1
}

# Removes the carriage return at the end of a line from the last field.
remove_carriage_return() {
  carriage_return=$(printf '\r')
  if [ -n "$more" ]; then
    return 0
  elif [ -n "$options" ]; then
    options=${options%"$carriage_return"}
  elif [ -n "$type" ]; then
    type=${type%"$carriage_return"}
  elif [ -n "$target" ]; then
    target=${target%"$carriage_return"}
  else
    source=${source%"$carriage_return"}
  fi
}

# Sets target, the second field of a line of fstab, to the path without escapes and redundant slashes.
normalise_target() {
  unescape "$target"
  target=$unescaped
  while :; do
    case $target in
      *//*) target=${target%%//*}/${target#*//} ;;
      ?*/) target=${target%/} ;;
      *) return ;;
    esac
  done
}

# Sets unescaped to a field of fstab with octal escapes decoded (fstab(5)). The four escapes of getmntent(3) are decoded
# without starting a process.
unescape() { # $1: field
  unescaped='' unescape_rest=$1
  while :; do
    case $unescape_rest in *\\[0-3][0-7][0-7]*) ;; *) break ;; esac
    unescape_before=${unescape_rest%%\\[0-3][0-7][0-7]*}
    unescape_rest=${unescape_rest#"$unescape_before"?}
    unescape_octal=${unescape_rest%"${unescape_rest#???}"} unescape_rest=${unescape_rest#???}
    unescaped=$unescaped$unescape_before
    case $unescape_octal in
      # Neither a field nor a shell variable can contain NUL.
      000) unescaped=$unescaped\\000 ;;
      011) unescaped="$unescaped	" ;;
      012)
        unescaped="$unescaped
"
        ;;
      040) unescaped="$unescaped " ;;
      134) unescaped=$unescaped\\ ;;
      *) unescaped=$unescaped$(printf %b "\\0$unescape_octal") ;;
    esac
  done
  unescaped=$unescaped$unescape_rest
}

# Sets unescaped to the first field of a line of fstab in the form of udev's links in /dev/disk: escapes are decoded;
# quotes around the value of a tag are removed (systemd, fstab_node_to_udev_node()), and the value is encoded.
normalise_source() { # $1: source
  unescape "$1"
  case $unescaped in UUID=* | LABEL=* | PARTUUID=* | PARTLABEL=*) ;; *) return 0 ;; esac
  source_tag=${unescaped%%=*} source_value=${unescaped#*=}
  case $source_value in
    \"*\" | \'*\') source_value=${source_value#?} source_value=${source_value%?} ;;
  esac
  # Start no process for a value that needs no encoding.
  case $source_value in *[!A-Za-z0-9#+.:=@_-]*) source_value=$(encode "$source_value") ;; esac
  unescaped=$source_tag=$source_value
}

# Prints the value of a tag as libblkid encodes it (blkid_encode_string()): as \xNN, each byte that is neither one of
# udev's plain characters nor part of a UTF-8 character. Call it in a subshell, because it overwrites variables.
encode() { # $1: value
  rest=$1
  byte=$(printf '[\200-\277]')
  two=$(printf '[\302-\337]')$byte
  three=$(printf '\340[\240-\277]')$byte
  three_more=$(printf '[\341-\354\356\357]')$byte$byte
  three_last=$(printf '\355[\200-\237]')$byte
  four=$(printf '\360[\220-\277]')$byte$byte
  four_more=$(printf '[\361-\363]')$byte$byte$byte
  four_last=$(printf '\364[\200-\217]')$byte$byte
  while [ -n "$rest" ]; do
    # shellcheck disable=SC2254 # patterns
    case $rest in
      [A-Za-z0-9#+.:=@_-]*) next=${rest#?} ;;
      $two*) next=${rest#??} ;;
      $three* | $three_more* | $three_last*) next=${rest#???} ;;
      $four* | $four_more* | $four_last*) next=${rest#????} ;;
      *)
        next=${rest#?}
        printf '\\x%02x' "'${rest%"$next"}"
        rest=$next
        continue
        ;;
    esac
    printf %s "${rest%"$next"}"
    rest=$next
  done
}

# Sets var_mounted_by to how /var of the root $1 is mounted: `own` (not mounted, a directory of the root), `device` (by
# a line of fstab; sets fstab_* to its fields), otherwise the path of the file that configures the mount. A unit in /etc
# takes precedence over fstab (systemd).
find_var() {
  var_unit=$1/etc/systemd/system/var.mount var_mounted_by=own
  if [ -e "$var_unit" ] || [ -L "$var_unit" ]; then
    is_masked "$var_unit" || var_mounted_by=/etc/systemd/system/var.mount
  elif find_fstab "$1" /var; then
    var_mounted_by=device
    return
  elif [ -n "$in_fstab" ]; then
    var_mounted_by=/etc/fstab
  fi
  fstab_source=''
}

# Whether a unit file is a link to /dev/null or empty, so that the unit is masked (systemd.unit(5)).
is_masked() { # $1: unit file
  # shellcheck disable=SC3013 # dash, bash and busybox have it
  [ "$1" -ef /dev/null ] || { [ -f "$1" ] && [ ! -s "$1" ]; }
}

is_device() { # $1: first field of a line of fstab
  case $1 in /dev/* | UUID=* | LABEL=* | PARTUUID=* | PARTLABEL=*) ;; *) return 1 ;; esac
}

# Sets node to the device node of a source in fstab. If a sealed disk has the identity that the source names, sets node
# to the node of that device, and sealed_link.
source_node() { # $1: source
  normalise_source "$1"
  set -- "$unescaped"
  case $1 in
    UUID=*) node=/dev/disk/by-uuid/${1#*=} ;;
    LABEL=*) node=/dev/disk/by-label/${1#*=} ;;
    PARTUUID=*) node=/dev/disk/by-partuuid/${1#*=} ;;
    PARTLABEL=*) node=/dev/disk/by-partlabel/${1#*=} ;;
    *) node=$1 ;;
  esac
  prefer_sealed
}

# If node is a link in /dev/disk, replaces it with the node of the device on a sealed disk with the same identity, if
# there is one (66-immutafs-readonly.rules), because the link in /dev/disk may point to a copy. The name is that of the
# kernel, because systemd has no device unit for the link of the sealed disk. Sets sealed_link to this link, or to the
# empty string, and usual_node to the original value of node.
prefer_sealed() {
  usual_node=$node sealed_link=''
  case $node in
    /dev/disk/by-uuid/?* | /dev/disk/by-label/?* | /dev/disk/by-partuuid/?* | /dev/disk/by-partlabel/?*) ;;
    *) return 0 ;;
  esac
  [ -b "/dev/block/immutafs/${node#/dev/disk/}" ] || return 0
  sealed_link=/dev/block/immutafs/${node#/dev/disk/} node=$sealed_link
  ! kernel_name "$sealed_link" || node=/dev/$kernel_name
}

# Sets node to the device node of a source, with links resolved, and disks to the disks under the device. Returns false
# if the device does not exist.
find_source() { # $1: source
  disks=''
  source_node "$1"
  [ -b "$node" ] || return 1
  if kernel_name "$node"; then node=/dev/$kernel_name; else node=$(readlink -f "$node") || return; fi
  find_disks "/sys/class/block/${node##*/}"
}

# Whether all disks under a source in fstab are read-only.
is_read_only_source() { # $1: source
  find_source "$1" && all_read_only
}

# Mounts a file system read-only, first as systemd would. If that fails, tries again without replaying the log (xfs(5),
# ext4(5): norecovery): if a guest was killed while its disk was writable and the disk was then sealed, the log cannot
# be replayed. `immutafs-agent status` reports such a mount.
mount_read_only() { # $1: options as in fstab, or empty; $2: type, or empty; $3: device; $4: mount point
  mount -o "${1:+$1,}ro" ${2:+-t "$2"} "$3" "$4" && return 0
  mount -o "${1:+$1,}ro,norecovery" ${2:+-t "$2"} "$3" "$4" || return 0
  read_only_target=${4#/sysroot}
  echo "immutafs: warning: ${read_only_target:-/} is mounted with norecovery: it was not unmounted cleanly before it was sealed" >&2
}

# Whether a source in fstab belongs to the sealed system, that is, whether it is on a read-only disk or on a disk of the
# root (MODE=sealed also seals a writable root).
is_sealed_source() { # $1: source
  root_disks=$disks
  find_source "$1"
  own_disks=$disks disks=$root_disks
  for own_disk in $own_disks; do
    case $own_disk in *:1:*) return 0 ;; esac
    case " $root_disks" in *" ${own_disk%%:*}:"*) return 0 ;; esac
  done
  return 1
}

# Sets fstab_targets to the targets, separated by newlines, that fstab mounts at boot. $1: the file.
read_fstab_targets() {
  fstab_targets='
'
  [ -r "$1" ] || return 0
  while read_fstab_line; do
    case ,$options, in *,noauto,*) continue ;; esac
    fstab_targets="$fstab_targets$target
"
  done <"$1"
}

# Whether fstab mounts a file system on $item_path or on a directory between /var and $item_path.
is_mounted_by_fstab() {
  above=$item_path
  while [ "$above" != /var ]; do
    case $fstab_targets in *"
$above
"*) return 0 ;; esac
    above=${above%/*}
  done
  return 1
}
