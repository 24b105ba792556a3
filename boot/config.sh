# shellcheck shell=sh
# Reads /etc/immutafs/immutafs.conf, without sourcing it. Starts no process except one stat(1).

# Sets conf_KEY for each key whose value the boot verifies (tables.sh). Also sets, without verifying them, conf_FORWARD,
# conf_FORWARD_STATE, and conf_forward_read to the values of FORWARD_FILES, FORWARD_CA, FORWARD_CERT and FORWARD_KEY.
# $1: the file. The grammar is that of agent/config/config.ts; the tests run both parsers on test/fixtures/config.
read_config() {
  set_config_defaults
  conf_FORWARD='' conf_FORWARD_STATE='' conf_forward_read=''
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

# Whether a file does not exist, according to the listing of the nearest directory above it that test(1) recognises. If the
# status of a file may not be read (SELinux: getattr), test(1) returns the same as for a file that does not exist.
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
  find_key "$key" || { config_warn "$key" 'unknown key, ignoring it' && return 0; }
  case $config_seen in *" $key "*) config_warn "$key" 'given twice, the later line counts' ;; esac
  config_seen="$config_seen$key "
  set_config_value
}

config_warn() { # $1: key, or empty; $2: reason
  warn "$config_name:$config_line: ${1:+$1: }$2"
}

set_config_value() { # reads key, value and what find_key sets
  items=$value
  case $key in
    MODE | SEED | ON_FAILURE | ON_IMPOSTOR) is_key_word "$value" ;;
    VAR_SIZE) is_size "$value" ;;
    VAR_INODES) is_inodes "$value" ;;
    VAR_OPTIONS) [ -z "$value" ] || are_key_words "$value" ;;
    OVERLAY | PERSIST) keep_good_items is_path_with_options ;;
    SCRATCH) keep_good_items is_scratch_item ;;
    MOUNT_OPTIONS) keep_good_items is_mount_options_item ;;
    PERSIST_STORE) [ -z "$value" ] || { [ "$value" != / ] && is_plain_path "$value"; } ;;
    SEED_TIMEOUT) is_number "$value" && [ "$value" -le 300 ] ;;
    SCRATCH_DEVICE) [ -z "$value" ] || is_scratch_device "$value" ;;
    FORWARD | FORWARD_STATE) ;;
    FORWARD_FILES | FORWARD_CA | FORWARD_CERT | FORWARD_KEY)
      conf_forward_read="$conf_forward_read $value"
      return
      ;;
    *) return 0 ;;
  esac || {
    [ -n "$value" ] || key_strictest=$key_default
    config_warn "$key" "must be $key_wanted, using ${key_strictest:-nothing}"
    items=$key_strictest
  }
  # The key is one of these names.
  eval "conf_$key=\$items"
}

is_key_word() { # $1: word; reads key_words
  case $1 in *' '*) return 1 ;; esac
  case " $key_words " in *" $1 "*) ;; *) return 1 ;; esac
}

# Adds /etc to conf_OVERLAY if cloud-init configures this guest from a seed. The agent does the same in
# agent/config/overlay-paths.ts.
add_seed_overlay() {
  [ "$conf_SEED" = host ] || return 0
  case " $conf_OVERLAY " in *' /etc '* | *' /etc:'*) ;; *) conf_OVERLAY="$conf_OVERLAY${conf_OVERLAY:+ }/etc" ;; esac
}

# Sets items to the items of the list $value that the function $1 accepts, and to what repair_item makes of the others, about
# which it warns.
keep_good_items() { # $1: function
  items='' items_left=$value
  while :; do
    items_left=${items_left#"${items_left%%[! 	]*}"}
    [ -n "$items_left" ] || return 0
    item=${items_left%%[ 	]*}
    items_left=${items_left#"$item"}
    repaired=$item
    "$1" "$item" || {
      repair_item || repaired=''
      case $item in *[!!-~]*) item='an item' ;; esac
      config_warn "$key" "$item: must be $key_wanted, ${repaired:+using }${repaired:-ignoring it}"
    }
    [ -z "$repaired" ] || items=$items${items:+ }$repaired
  done
}

# Sets repaired to what is used for an invalid item of a list; returns false if the item is ignored. See `repair` in
# agent/config/keys.ts.
repair_item() { # reads key and item
  repaired_path=${item%%:*} repaired_options=''
  case $key:$item in
    MOUNT_OPTIONS:*/*) ;;
    MOUNT_OPTIONS:*) repaired=strict && return ;;
  esac
  [ "$key:$repaired_path" = 'MOUNT_OPTIONS:/run/user/*' ] || is_plain_path "$repaired_path" || return
  case $key:$repaired_path in
    MOUNT_OPTIONS:/dev | MOUNT_OPTIONS:/dev/pts) repaired_options=noexec,nosuid ;;
    MOUNT_OPTIONS:*) repaired_options=noexec,nosuid,nodev ;;
    PERSIST:*) keep_key_words '' ;;
    SCRATCH:*)
      keep_key_words required
      case ,$repaired_options, in *,empty,*copy,* | *,copy,*empty,*) keep_key_words required empty copy ;; esac
      repaired_options=$repaired_options${repaired_options:+,}required
      ;;
    *) return 1 ;;
  esac
  repaired=$repaired_path${repaired_options:+:$repaired_options}
}

# Sets repaired_options to the valid options of an item, without those of the arguments.
keep_key_words() { # reads item
  repaired_options='' words_left=''
  case $item in *:*) words_left=${item#*:}, ;; esac
  while [ -n "$words_left" ]; do
    valid_word=${words_left%%,*}
    words_left=${words_left#*,}
    is_key_word "$valid_word" || continue
    case " $* " in *" $valid_word "*) continue ;; esac
    repaired_options=$repaired_options${repaired_options:+,}$valid_word
  done
}

is_scratch_item() { # $1: item
  case ,${1#*:}, in *,empty,*,copy,* | *,copy,*,empty,* | *,empty,copy,* | *,copy,empty,*) return 1 ;; esac
  is_path_with_options "$1"
}

# Whether a link identifies a disk by what the host reports about it. Root in the guest can give all other identities to any
# device.
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
    '/run/user/*:'*) is_path_with_options "/run/user:${1#*:}" ;;
    *:*) is_path_with_options "$1" ;;
    *) return 1 ;;
  esac
}

is_path_with_options() { # $1: PATH or PATH:OPTION,OPTION
  is_plain_path "${1%%:*}" || return 1
  case $1 in *:*) are_key_words "${1#*:}" ;; esac
}

are_key_words() { # $1: words, separated by commas
  words_left=$1,
  while [ -n "$words_left" ]; do
    is_key_word "${words_left%%,*}" || return 1
    words_left=${words_left#*,}
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

# --- MOUNT_OPTIONS -------------------------------------------------------------------------------------

# Sets option_items to the items of MOUNT_OPTIONS as path:options, with the item `strict` expanded. Of several items for
# a path, all options are set. Device files on /dev must remain usable.
expand_mount_options() {
  option_items=" $conf_MOUNT_OPTIONS "
  case $option_items in *' strict '*) ;; *) return 0 ;; esac
  replace "$option_items" ' strict ' ' '
  option_items="$strict_items $replaced"
}

# Sets item_path and item_options to the next item of items_left, and removes it from there; returns false if there is none.
next_option_item() {
  items_left=${items_left#"${items_left%%[! ]*}"}
  [ -n "$items_left" ] || return 1
  item_options=${items_left%% *}
  items_left=${items_left#"$item_options"}
  item_path=${item_options%%:*} item_options=${item_options#*:}
}
