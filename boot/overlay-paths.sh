# shellcheck shell=sh
# Decides which paths of OVERLAY can get an overlay, and when. Source after library.sh. Starts no process.

# Sets sorted to the paths of OVERLAY, parents before the directories below them. If a path is given twice, its first
# item counts.
sort_overlays() {
  sorted=''
  for item in $conf_OVERLAY; do
    case " $sorted " in
      *" ${item%%:*} "*) warn "OVERLAY: ${item%%:*} is given twice, the first item counts" ;;
      *) insert_overlay "${item%%:*}" ;;
    esac
  done
}

insert_overlay() { # $1: path
  before='' after=''
  for other in $sorted; do
    case ${after:+1}$other in
      1* | "$1"/*) after="$after $other" ;;
      *) before="$before $other" ;;
    esac
  done
  sorted="${before# }${before:+ }$1$after"
}

# Sets options to the mount options of a path of OVERLAY.
find_overlay_options() { # $1: path
  for item in $conf_OVERLAY; do
    [ "${item%%:*}" != "$1" ] || break
  done
  case $item in *:*) item=,${item#*:}, ;; *) item=, ;; esac
  options=''
  case $item in *,suid,*) ;; *) options=nosuid, ;; esac
  case $item in *,dev,*) ;; *) options=${options}nodev, ;; esac
  for option in noexec noatime relatime; do
    case $item in *",$option,"*) options=$options$option, ;; esac
  done
}

is_overlay_path() { # $1: path
  case " $conf_OVERLAY " in *" $1 "* | *" $1:"*) ;; *) return 1 ;; esac
}

# Whether a component of a path is a symbolic link; sets why. An overlay there would be mounted elsewhere.
has_link() { # $1: root; $2: path
  walked='' to_walk=${2#/}/
  while [ -n "$to_walk" ]; do
    walked=$walked/${to_walk%%/*} to_walk=${to_walk#*/}
    [ -L "$1$walked" ] || continue
    why="$walked is a symbolic link: name the directory that it points to"
    return 0
  done
  return 1
}

# Sets fstab_mounts to "target type options source" of each line of fstab, one per line.
read_fstab_mounts() { # $1: root
  fstab_mounts='
'
  read_fstab "$1"
  while read_fstab_line; do
    fstab_mounts="$fstab_mounts$target $type $options $source
"
  done
}

# Decides about a path by what is mounted on it and on the directories above it, according to fstab_mounts, mounts and
# the mount units of the administrator. Sets state: `now` (a directory of the root file system), `deferred` (a file system
# of a disk is mounted there later, or is not the root), `unneeded` or `failed`; for the last two, sets why.
place_overlay() { # $1: root; $2: path
  above=$2 state=now
  while [ -n "$above" ]; do
    case $fstab_mounts in
      *"
$above "*)
        judge_fstab_mount
        return
        ;;
    esac
    find_mount "$1$above"
    if [ -n "$mount_dev" ]; then
      state=deferred
      return
    fi
    ! has_mount_unit "$1" "$above" || return 0
    above=${above%/*}
  done
}

# Sets state and why for the last line of fstab that mounts $above. Late boot must not wait for the network, which
# starts after it.
judge_fstab_mount() {
  line=${fstab_mounts##*"
$above "}
  line=${line%%
*}
  type=${line%% *} line=${line#* }
  options=,${line%% *}, source=${line#* }
  state=unneeded
  case $type:$options in
    tmpfs:* | ramfs:*) why="$above is in RAM ($type)" ;;
    *,bind,* | *,rbind,*) state=failed why="$above is a bind mount in /etc/fstab: name the directory $source" ;;
    *,_netdev,*) why="$above is on a disk of the network ($source)" ;;
    *)
      if ! is_device "$source"; then
        why="$above is $type ($source), which is not on the system disk"
        return
      fi
      state=deferred
      case $options in
        *,x-systemd.automount,* | *,comment=systemd.automount,*) ;;
        *,noauto,*) state=failed why="/etc/fstab does not mount $above at boot (noauto)" ;;
      esac
      ;;
  esac
}

# Whether a mount unit other than those of fstab mounts a file system on a path; sets state and why.
has_mount_unit() { # $1: root; $2: path
  escape_path "$2"
  set -- "$1/etc/systemd/system/$escaped.mount" "$1/usr/lib/systemd/system" "$1/etc/systemd/system" "$2"
  if [ -e "$1" ] || [ -L "$1" ]; then
    ! is_masked "$1" || return 1
  else
    [ -L "$2/local-fs.target.wants/$escaped.mount" ] || [ -L "$3/local-fs.target.wants/$escaped.mount" ] || return 1
  fi
  case $4 in
    /tmp) state=unneeded why='tmp.mount mounts a tmpfs on /tmp, which is in RAM' ;;
    *) state=failed why="$escaped.mount mounts a file system on $4: write the mount as a line in /etc/fstab" ;;
  esac
}
