# shellcheck shell=sh disable=SC2034,SC2154 # of assemble-var and the other parts of it
# /run/immutafs/boot.env: what was decided and done, for the later parts of the boot and for the agent.

run=/run/immutafs

# Strict KEY=value lines as in immutafs.conf, of which the last counts; WARNING, ERROR and LAYER may come
# more than once. Whole or not at all; in the initramfs there is nobody yet to see it half written.
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
  [ "$var" != overlay ] || add_to_boot_env ASSEMBLED "$1"
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

add_to_boot_env() { # $1: key; $2: value
  boot_env="$boot_env$1=$2
"
}

# Each line in one write(2): two of us may append at the same time.
append_boot_env() {
  for said; do
    printf '%s\n' "$said" >>"$run/boot.env"
  done
}

# mode reason disks: as the initramfs decided.
read_boot_env() {
  mode=off reason='' disks=''
  while IFS= read -r line; do
    case $line in
      MODE=*) mode=${line#*=} ;;
      REASON=*) reason=${line#*=} ;;
      DISKS=*) disks="${line#*=} " ;;
    esac
  done <"$run/boot.env"
}
