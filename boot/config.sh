# shellcheck shell=sh
# Reads /etc/immutafs/immutafs.conf, without sourcing it. Starts no process except one stat(1).

# Sets conf_MODE, conf_VAR_SIZE, conf_VAR_INODES, conf_VAR_OPTIONS, conf_OVERLAY, conf_PERSIST, conf_PERSIST_STORE,
# conf_SCRATCH, conf_SCRATCH_DEVICE, conf_MOUNT_OPTIONS, conf_SEED, conf_ON_FAILURE and conf_ON_IMPOSTOR, the keys that the boot
# uses; conf_FORWARD and conf_FORWARD_STATE, and conf_forward_read, the files of FORWARD_FILES, _CA, _CERT and _KEY, whose values
# are not checked.
# $1: the file. The grammar and the messages are those of agent/config/config.ts; the tests run both parsers on
# test/fixtures/config.
read_config() {
  conf_MODE=auto conf_VAR_SIZE=25% conf_VAR_INODES=200k conf_VAR_OPTIONS=nosuid,nodev conf_ON_FAILURE=degraded
  conf_MOUNT_OPTIONS='/dev/shm:noexec,nosuid,nodev /var/tmp:noexec,nosuid,nodev /var/log:noexec,nosuid,nodev'
  conf_OVERLAY='' conf_PERSIST='' conf_PERSIST_STORE='' conf_ON_IMPOSTOR=poweroff conf_FORWARD='' conf_FORWARD_STATE=''
  conf_forward_read='' conf_SEED=none conf_SCRATCH='' conf_SCRATCH_DEVICE=''
  if ! { [ -f "$1" ] && [ -r "$1" ]; }; then
    ! is_absent "$1" || return 0
    warn "$1: not a readable file, ignoring it"
    return 0
  fi
  config_bytes=$(stat -L -c %s "$1" 2>/dev/null) || config_bytes=0
  if [ "$config_bytes" -gt 65536 ]; then
    warn "$1: larger than 65536 bytes, ignoring it"
    return 0
  fi
  config_name=/etc/immutafs/immutafs.conf config_line=0 config_seen=' '
  while IFS= read -r line || [ -n "$line" ]; do
    config_line=$((config_line + 1))
    read_config_line
  done <"$1"
}

# Whether a file does not exist, according to the listing of the nearest directory above it that test(1) recognises. For a
# file or directory whose status may not be read (SELinux: getattr), test(1) says the same as for one that is absent.
is_absent() { # $1: absolute path
  missing=$1
  while above=${missing%/*} && [ -n "$above" ] && [ ! -d "$above" ]; do
    missing=$above
  done
  { [ -r "$above/" ] && [ -x "$above/" ]; } || return 1
  for entry in "$above"/* "$above"/.[!.]*; do
    [ "$entry" != "$missing" ] || return 1
  done
}

read_config_line() { # reads line; sets the variable of its key
  line=${line#"${line%%[! 	]*}"}
  line=${line%"${line##*[! 	]}"}
  case $line in '' | '#'*) return 0 ;; esac
  case $line in *[[:cntrl:]]*) config_warn '' 'contains a control character, ignoring the line' && return 0 ;; esac
  case $line in
    *=*) key=${line%%=*} value=${line#*=} ;;
    *) config_warn '' 'not KEY=value, ignoring the line' && return 0 ;;
  esac
  case $key in '' | *[!A-Z_]*) config_warn '' 'not KEY=value, ignoring the line' && return 0 ;; esac
  case $key in
    MODE | VAR_SIZE | VAR_INODES | VAR_OPTIONS | OVERLAY | PERSIST | PERSIST_STORE | SCRATCH | SCRATCH_DEVICE | MOUNT_OPTIONS | SEED | ON_FAILURE | ON_IMPOSTOR | REQUIRE_READONLY | REQUIRE_OPTIONS) ;;
    FOREIGN_PROGRAMS | FOREIGN_PROGRAMS_ALLOW | USAGE_WARN | USAGE_FAIL | PROMETHEUS_FILE | FORWARD | FORWARD_FILES | FORWARD_STATE | FORWARD_CA | FORWARD_CERT | FORWARD_KEY | FORWARD_PEER) ;;
    *) config_warn "$key" 'unknown key, ignoring it' && return 0 ;;
  esac
  case $config_seen in *" $key "*) config_warn "$key" 'given twice, the later line counts' ;; esac
  config_seen="$config_seen$key "
  set_config_value
}

config_warn() { # $1: key, or empty; $2: reason
  warn "$config_name:$config_line: ${1:+$1: }$2"
}

set_config_value() { # reads key and value
  case $key in
    MODE)
      case $value in
        auto | sealed | off) conf_MODE=$value ;;
        *) config_warn MODE 'must be auto, sealed or off, using auto' && conf_MODE=auto ;;
      esac
      ;;
    VAR_SIZE)
      if is_size "$value"; then
        conf_VAR_SIZE=$value
      else
        config_warn VAR_SIZE 'must be 1% to 100%, or a number followed by m or g, using 25%' && conf_VAR_SIZE=25%
      fi
      ;;
    VAR_INODES)
      if is_inodes "$value"; then
        conf_VAR_INODES=$value
      else
        config_warn VAR_INODES 'must be a number of at least 1000, optionally followed by k or m, using 200k' && conf_VAR_INODES=200k
      fi
      ;;
    VAR_OPTIONS)
      if is_options "$value"; then
        conf_VAR_OPTIONS=$value
      else
        config_warn VAR_OPTIONS 'must be one or more of nosuid, nodev, noexec, noatime, relatime, using nosuid,nodev'
        conf_VAR_OPTIONS=nosuid,nodev
      fi
      ;;
    OVERLAY)
      keep_good_items is_overlay_item "$plain_path, then optionally : and any of noexec, noatime, relatime, suid, dev"
      conf_OVERLAY=$items
      ;;
    PERSIST)
      keep_good_items is_persist_item "$plain_path, then optionally : and any of exec, suid, dev, autostart, maintenance"
      conf_PERSIST=$items
      ;;
    PERSIST_STORE)
      if [ -z "$value" ] || { [ "$value" != / ] && is_plain_path "$value"; }; then
        conf_PERSIST_STORE=$value
      else
        config_warn PERSIST_STORE 'must be an absolute path of letters, digits and . _ + @ -, using nothing'
        conf_PERSIST_STORE=''
      fi
      ;;
    SCRATCH)
      keep_good_items is_scratch_item \
        "$plain_path, then optionally : and any of exec, suid, dev, required, and empty or copy"
      conf_SCRATCH=$items
      ;;
    SCRATCH_DEVICE)
      if [ -z "$value" ] || is_scratch_device "$value"; then
        conf_SCRATCH_DEVICE=$value
      else
        config_warn SCRATCH_DEVICE 'must be a link in /dev/disk/by-id/ that begins with virtio-, scsi-, wwn- or nvme-, using nothing'
        conf_SCRATCH_DEVICE=''
      fi
      ;;
    MOUNT_OPTIONS)
      keep_good_items is_mount_options_item "strict, or $plain_path, then : and any of noexec, nosuid, nodev"
      conf_MOUNT_OPTIONS=$items
      ;;
    SEED)
      case $value in
        none | host) conf_SEED=$value ;;
        *) config_warn SEED 'must be none or host, using none' && conf_SEED=none ;;
      esac
      ;;
    FORWARD) conf_FORWARD=$value ;;
    FORWARD_STATE) conf_FORWARD_STATE=$value ;;
    FORWARD_FILES | FORWARD_CA | FORWARD_CERT | FORWARD_KEY) conf_forward_read="$conf_forward_read $value" ;;
    ON_FAILURE)
      case $value in
        degraded | emergency | poweroff) conf_ON_FAILURE=$value ;;
        *) config_warn ON_FAILURE 'must be degraded, emergency or poweroff, using degraded' && conf_ON_FAILURE=degraded ;;
      esac
      ;;
    ON_IMPOSTOR)
      case $value in
        poweroff | emergency) conf_ON_IMPOSTOR=$value ;;
        *) config_warn ON_IMPOSTOR 'must be poweroff or emergency, using poweroff' && conf_ON_IMPOSTOR=poweroff ;;
      esac
      ;;
  esac
}

# Adds /etc to conf_OVERLAY if cloud-init configures this guest from a seed. The agent does the same in
# agent/config/overlay-paths.ts.
add_seed_overlay() {
  [ "$conf_SEED" = host ] || return 0
  case " $conf_OVERLAY " in *' /etc '* | *' /etc:'*) ;; *) conf_OVERLAY="$conf_OVERLAY${conf_OVERLAY:+ }/etc" ;; esac
}

plain_path='a path of letters, digits and . _ + @ -'

# Sets items to the items of the list $value that the function $1 accepts, and warns about the others.
keep_good_items() { # $1: function; $2: description of a good item
  items='' items_left=$value
  while :; do
    items_left=${items_left#"${items_left%%[! 	]*}"}
    [ -n "$items_left" ] || return 0
    item=${items_left%%[ 	]*}
    items_left=${items_left#"$item"}
    if "$1" "$item"; then
      items=$items${items:+ }$item
    else
      case $item in *[!!-~]*) item='an item' ;; esac
      config_warn "$key" "$item: must be $2, ignoring it"
    fi
  done
}

is_overlay_item() { is_path_with_options "$1" noexec noatime relatime suid dev; }
is_persist_item() { is_path_with_options "$1" exec suid dev autostart maintenance; }

is_scratch_item() { # $1: item
  case ,${1#*:}, in *,empty,*,copy,* | *,copy,*,empty,* | *,empty,copy,* | *,copy,empty,*) return 1 ;; esac
  is_path_with_options "$1" exec suid dev required empty copy
}

# Whether a link names a disk by what the host says about it. Root can give the other identities to any device.
is_scratch_device() { # $1: SCRATCH_DEVICE
  case ${1#/dev/disk/by-id/} in
    "$1" | *[!A-Za-z0-9._+@:=-]*) return 1 ;;
    virtio-?* | scsi-?* | wwn-?* | nvme-?*) ;;
    *) return 1 ;;
  esac
}

is_mount_options_item() { # $1: item
  case $1 in
    strict) return 0 ;;
    '/run/user/*:'*) is_path_with_options "/run/user:${1#*:}" noexec nosuid nodev ;;
    *:*) is_path_with_options "$1" noexec nosuid nodev ;;
    *) return 1 ;;
  esac
}

is_path_with_options() { # $1: PATH or PATH:OPTION,OPTION; $2…: the options that are allowed
  is_plain_path "${1%%:*}" || return 1
  case $1 in *:*) options_left=${1#*:}, ;; *) return 0 ;; esac
  shift
  while [ -n "$options_left" ]; do
    case " $* " in *" ${options_left%%,*} "*) ;; *) return 1 ;; esac
    options_left=${options_left#*,}
  done
}

is_plain_path() { # $1: path
  case $1 in
    /) return 0 ;;
    [!/]* | '' | *[!A-Za-z0-9._+@/-]* | *//* | */ | */. | */.. | */./* | */../*) return 1 ;;
  esac
}

is_number() { # $1: 1 to 9 digits, the first not 0
  case $1 in '' | 0* | *[!0-9]* | ??????????*) return 1 ;; esac
}

is_size() { # tmpfs(5) size=; the unit is mandatory, since a number without a unit would mean bytes
  case $1 in
    *%) is_number "${1%\%}" && [ "${1%\%}" -le 100 ] ;;
    *[mMgG]) is_number "${1%?}" ;;
    *) return 1 ;;
  esac
}

is_inodes() { # tmpfs(5) nr_inodes=
  case $1 in
    *[kKmM]) is_number "${1%?}" ;;
    *) is_number "$1" && [ "$1" -ge 1000 ] ;;
  esac
}

is_options() { # $1: options, separated by commas
  case ",$1," in *,,*) [ -z "$1" ] && return 0 || return 1 ;; esac
  options_left=$1,
  while [ -n "$options_left" ]; do
    case ${options_left%%,*} in nosuid | nodev | noexec | noatime | relatime) ;; *) return 1 ;; esac
    options_left=${options_left#*,}
  done
}

# --- MOUNT_OPTIONS -------------------------------------------------------------------------------------

# Sets option_items to the items of MOUNT_OPTIONS as path:options, with the item `strict` expanded. Of several items for
# a path, all options are set. Device files on /dev must remain usable.
expand_mount_options() {
  option_items=" $conf_MOUNT_OPTIONS "
  case $option_items in *' strict '*) ;; *) return 0 ;; esac
  replace "$option_items" ' strict ' ' '
  option_items="/dev:noexec,nosuid "
  for place in /run /dev/shm '/run/user/*' /var /var/tmp /var/log /tmp /home; do
    option_items="$option_items$place:noexec,nosuid,nodev "
  done
  option_items=$option_items$replaced
}

# Sets item_path and item_options to the next item of items_left, and removes it from there; returns false if there is none.
next_option_item() {
  items_left=${items_left#"${items_left%%[! ]*}"}
  [ -n "$items_left" ] || return 1
  item_options=${items_left%% *}
  items_left=${items_left#"$item_options"}
  item_path=${item_options%%:*} item_options=${item_options#*:}
}
