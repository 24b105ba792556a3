# shellcheck shell=sh disable=SC2154 # immutafs-generator sets out and rehearsal
# Writes the units of a rehearsal (immutafs-agent prepare --rehearse) for immutafs-generator.

# Writes a timer that ends the rehearsal at its limit, and starts the recorder. The timer is part of sysinit.target and
# has no dependencies, so that it also runs if /var cannot be mounted or if a unit prevents the boot from completing.
# emergency.target does not stop it.
write_rehearsal_units() {
  case $rehearsal in *[!0-9]*) return ;; esac
  mkdir -p "$out/sysinit.target.wants" "$out/multi-user.target.wants"
  printf '[Unit]\nDescription=End the rehearsal of a sealed boot\nDefaultDependencies=no\nIgnoreOnIsolate=yes\n[Timer]\nOnBootSec=%s\nAccuracySec=1s\nUnit=immutafs-rehearsal-limit.service\n' \
    "$rehearsal" >"$out/immutafs-rehearsal-limit.timer"
  ln -sf ../immutafs-rehearsal-limit.timer "$out/sysinit.target.wants/immutafs-rehearsal-limit.timer"
  ln -sf /usr/lib/systemd/system/immutafs-rehearsal.service "$out/multi-user.target.wants/immutafs-rehearsal.service"
}
