# shellcheck shell=sh
# Reads /run/immutafs/boot.env, and appends to it, which immutafs-boot writes (boot/boot-env.ts).

run=/run/immutafs

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
