#!/bin/sh
# Runs a command with the built private runtime at /usr/lib64/immutafs-agent, so that the built executable finds its
# loader. Uses a private mount namespace, so that the machine is not changed.
#
#   packaging/build/run-dist.sh [-l LIBRARIES] COMMAND [ARGUMENT…]
#   packaging/build/run-dist.sh dist/immutafs-agent version
#
# LIBRARIES: the runtime, by default dist/lib. Requires root, or a kernel that allows user namespaces.
set -eu

libraries=$(dirname "$0")/../../dist/lib
if [ "${1-}" = -l ]; then
  libraries=$2
  shift 2
fi
[ $# -gt 0 ] || { echo 'run-dist: the command is missing' >&2 && exit 2; }
[ -e "$libraries/ld-linux-x86-64.so.2" ] || { echo "run-dist: no loader in $libraries" >&2 && exit 3; }
libraries=$(realpath "$libraries")
dist=$(realpath "$(dirname "$0")/../../dist")

# Mount an overlay, because /usr/lib64 also contains the machine's own loader.
# shellcheck disable=SC2016 # expanded by the inner shell
inner='
  set -eu
  libraries=$1
  dist=$2
  shift 2
  mount -t tmpfs -o size=8m,mode=0755 run-dist /mnt
  mkdir /mnt/upper /mnt/work
  mount -t overlay -o lowerdir=/usr/lib64,upperdir=/mnt/upper,workdir=/mnt/work run-dist /usr/lib64
  if [ -e "$dist/try-write" ]; then
    mkdir /mnt/upper2 /mnt/work2
    mount -t overlay -o lowerdir=/usr/libexec,upperdir=/mnt/upper2,workdir=/mnt/work2 run-dist /usr/libexec
    mkdir -p /usr/libexec/immutafs
    for program in immutafs-boot try-write read-xattrs read-mappings read-journal; do
      [ ! -e "$dist/$program" ] || cp "$dist/$program" /usr/libexec/immutafs/
    done
  fi
  umount -l /mnt
  mkdir -p /usr/lib64/immutafs-agent
  mount --bind "$libraries" /usr/lib64/immutafs-agent
  exec "$@"
'
user=
[ "$(id -u)" -eq 0 ] || user=--map-root-user
exec unshare --mount --propagation private $user sh -c "$inner" run-dist "$libraries" "$dist" "$@"
