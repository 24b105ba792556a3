#!/bin/bash
# shellcheck disable=SC2154 # moddir is dracut's
# dracut module: the udev rule that carries read-only up through device-mapper, and the hook that assembles
# /var. Uses what dracut 033 has (dracut.modules(7)).

check() {
  local program
  for program in blockdev modprobe mount stat umount; do
    type -P "$program" >/dev/null || return 1
  done
  return 0
}

depends() {
  return 0
}

# Not only what this machine has loaded: the overlay is first needed in a sealed boot.
installkernel() {
  hostonly='' instmods overlay
}

install() {
  inst_multiple blockdev chown mkdir modprobe mount mv rmdir stat umount
  inst_script /usr/libexec/immutafs/assemble-var /usr/libexec/immutafs/assemble-var
  inst_script /usr/libexec/immutafs/propagate-readonly /usr/libexec/immutafs/propagate-readonly
  inst_simple /usr/libexec/immutafs/immutafs-lib.sh
  inst_rules 66-immutafs-readonly.rules
  inst_hook pre-pivot 10 "$moddir/immutafs-pre-pivot.sh"
}
