# shellcheck shell=sh
# Reads /run/immutafs/boot.env, and appends to it, which immutafs-boot writes (boot/boot-env.ts).

run=/run/immutafs

# Appends each line with one write(2), because two instances may append at the same time.
append_boot_env() {
  for boot_env_record; do
    printf '%s\n' "$boot_env_record" >>"$run/boot.env"
  done
}

# Sets mode to the decision that the initramfs recorded, and seed_record to the last record of find-seed.
read_boot_env() {
  mode=off seed_record=''
  while IFS= read -r boot_env_line; do
    case $boot_env_line in
      MODE=*) mode=${boot_env_line#*=} ;;
      SEED=*) seed_record=${boot_env_line#*=} ;;
    esac
  done <"$run/boot.env"
}
