# shellcheck shell=sh
# Reads and writes /run/immutafs/boot.env, which records the mode and the results of this boot for late boot and for the
# agent.

run=/run/immutafs
# Lines "OVERLAY=PATH STATE REASON" (overlays.sh).
overlay_records=''
# The state of /var: disk, overlay, deferred (late boot mounts it) or failed.
var=disk

# Writes KEY=value lines with the grammar of immutafs.conf. If a key is repeated, its last value is used; WARNING,
# ERROR, LAYER, OVERLAY and IMPOSTOR may have several values. Late boot replaces the file atomically; in the initramfs no other
# process reads the file yet.
write_boot_env() { # $1: stage
  read -r uptime _ </proc/uptime
  boot_env="VERSION=$IMMUTAFS_VERSION
STAGE=$1
UPTIME=$uptime
MODE=$mode
REASON=$reason
DISKS=${disks% }
VAR=$var
ON_FAILURE=$conf_ON_FAILURE
"
  [ "$1" != initramfs ] || record_initramfs
  [ "$var" != overlay ] || add_to_boot_env ASSEMBLED "$1"
  boot_env=$boot_env$overlay_records
  [ -z "$rehearsal" ] || add_to_boot_env REHEARSAL "$rehearsal"
  [ -z "$error" ] || add_to_boot_env ERROR "$error"
  while [ -n "$warnings" ]; do
    add_to_boot_env WARNING "${warnings%%
*}"
    warnings=${warnings#*
}
  done
  if [ -r "$impostors" ]; then
    while IFS= read -r line; do
      boot_env="$boot_env$line
"
    done <"$impostors"
  fi
  new=$run/boot.env
  [ "$1" = initramfs ] || new=$run/.boot.env
  [ -d "$run" ] || mkdir -p "$run" || exit 1
  if ! printf %s "$boot_env" >"$new"; then
    rm -f "$new"
  elif [ "$1" != initramfs ]; then
    mv -f "$new" "$run/boot.env"
  fi
}

# Records the device of the file system of the initramfs. With UPTIME, the agent recognises the programs of the initramfs
# that still run later.
record_initramfs() {
  find_mount /
  [ -z "$mount_dev" ] || add_to_boot_env INITRAMFS "$mount_dev"
}

add_to_boot_env() { # $1: key; $2: value
  boot_env="$boot_env$1=$2
"
}

# Appends each line with one write(2), because two instances may append at the same time.
append_boot_env() {
  for boot_env_record; do
    printf '%s\n' "$boot_env_record" >>"$run/boot.env"
  done
}

# Sets mode, reason and disks to the decision that the initramfs recorded; rehearsal to the time limit, in seconds, if
# this boot is a rehearsal, otherwise to the empty string; overlays to "PATH STATE REASON" of each record of OVERLAY, one
# per line; early_overlays to the paths whose overlays the initramfs mounted; seed_record to the last record of find-seed.
read_boot_env() {
  mode=off reason='' disks='' rehearsal='' early_overlays='' seed_record='' overlays='
'
  while IFS= read -r boot_env_line; do
    case $boot_env_line in
      MODE=*) mode=${boot_env_line#*=} ;;
      REASON=*) reason=${boot_env_line#*=} ;;
      DISKS=*) disks="${boot_env_line#*=} " ;;
      REHEARSAL=*) rehearsal=${boot_env_line#*=} ;;
      SEED=*) seed_record=${boot_env_line#*=} ;;
      OVERLAY=*)
        boot_env_line=${boot_env_line#*=}
        # Late boot appends further records of a path.
        case $boot_env_line:$overlays in
          *"
${boot_env_line%% *} "*) ;;
          *' overlay:'*) early_overlays="$early_overlays ${boot_env_line%% *}" ;;
        esac
        overlays="$overlays$boot_env_line
"
        ;;
    esac
  done <"$run/boot.env"
}
