#!/bin/sh
# To be sourced in the small system of small-system.sh. Prepares it for moves: the scripts and programs of the boot and, if $app
# is set, /data on $disk, and $app with content of every kind.
# shellcheck disable=SC2154 # variables of small-system.sh and move-state.ts
set -e

mount -t tmpfs libexec /usr/libexec
mkdir /usr/libexec/immutafs
cp "$programs/move-directory" "$boot_program" /usr/libexec/immutafs/
chmod +x /usr/libexec/immutafs/*
marker=/etc/immutafs/move-at-boot

# What the boot that moves does, without the units.
run_moves() { agent run-moves; }

# Emulates the boots until one without a marker: ends what a killed process left, and carries tasks out.
# shellcheck disable=SC2120
boot() { # fault: POINT KILL, or POINT CODE
  stop
  if [ -e "$marker" ]; then
    start_before_moves
    FAULT=$* run_moves >/run/said 2>&1 || true
    # After a power cut, nothing of this boot is left but what is on the disks.
    [ -z "${cut_systems-}" ] || cut_power
    stop
  fi
  start
}

# Ends the file systems in $cut_systems without writing anything more to their disks (XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN), and
# mounts them again, as after a power cut.
cut_power() {
  stop
  for folder in $cut_systems; do
    cut=$(findmnt -n -o SOURCE "$folder") options=$(findmnt -n -o OPTIONS "$folder")
    python3 -c 'import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))' "$folder"
    umount "$folder"
    case $options in *nodev*) mount -o nosuid,nodev "$cut" "$folder" ;; *) mount "$cut" "$folder" ;; esac
  done
}

stop() {
  for folder in /run/immutafs/move/new /run/immutafs/move/old; do
    while umount -l "$folder" 2>/dev/null; do :; done
  done
  rm -rf /run/immutafs
  stop_all
}

# Without $app, what moves is /home. Each boot mounts it as fstab says.
stop_all() { while umount -l /home 2>/dev/null; do :; done; }
start() {
  source=$(sed -n 's/^\([^#[:blank:]]*\)[[:blank:]]*\/home[[:blank:]].*/\1/p' /etc/fstab)
  [ -z "$source" ] || mount /home
}
start_before_moves() { start; }
# Makes the links that udev makes for the file systems of $disk and $volume.
name_disks() {
  for named in "$disk" "$disk"p1 "$volume"; do
    name=$(blkid -p -s UUID -o value "$named") || continue
    [ -z "$name" ] || ln -sf "$named" "/dev/disk/by-uuid/$name"
  done
}
moved_home() { move_home "$@" || [ -e "$marker" ]; name_disks; boot; cat /run/said; }
undone_home() { agent prepare --undo || [ -e "$marker" ]; boot; cat /run/said; }
old_home() { mkdir -p /run/old; mount --bind / /run/old; (cd /run/old/home && "$@"); umount /run/old; }

[ -n "${app-}" ] || return 0
"mkfs.${storeType:-ext4}" -q "$disk"
mkdir /data
mount -o nosuid,nodev "$disk" /data
printf '%s /data auto nosuid,nodev,nofail 0 0\n' "$disk" >>/etc/fstab
printf 'PERSIST_STORE=/data/store\n' >>/etc/immutafs/immutafs.conf

# shellcheck disable=SC2034 # for the scripts of tests
kept=/data/store/var=lib=app
mkdir -p /root /var/tmp /var/lib
if [ -n "${systemType-}" ]; then
  case $systemType in ext4) mkfs.ext4 -q -F "$volume" ;; *) mkfs.xfs -q -f "$volume" ;; esac
  mount "$volume" /var/lib
  mkdir /var/lib/immutafs
  cut_systems='/data /var/lib'
fi
fill
mv /home "$app"
mkdir /home
setfattr -n security.selinux -v system_u:object_r:var_lib_t:s0 "$app"
set_old_times "$app"
sync -f "$app"
picture "$app" >/run/before

prepare() { agent prepare --only state "$@"; }
# Records the move. The exit code says that something is left for the next boot.
move() { prepare --apply --yes --move-state "$app" "$@" || [ -e "$marker" ]; }

# Checks that the directory has all of its content, which must be true at any moment.
whole() { picture "$app" >/run/now; diff /run/before /run/now; }

# Prints the mounts on the directory; fails if there are none.
mounts() { findmnt -rn -o TARGET,SOURCE,OPTIONS "$app" >/run/mounts && sed "s,$disk,DISK," /run/mounts; }

# What is on the system disk below the mounts.
below() { mkdir -p /run/below; mount --bind "${app%/*}" /run/below; (cd "/run/below/${app##*/}" && "$@"); umount /run/below; }

# The mounts that each maintenance boot makes, except for one that moves. A path that cannot be mounted is a failed unit.
start_before_moves() { :; }
stop_all() { while umount -l "$app" 2>/dev/null; do :; done; }
start() {
  sed -n 's/^PERSIST=//p' /etc/immutafs/immutafs.conf | tr -s ' ' '\n' | grep . | while IFS=: read -r item options; do
    case $options in *maintenance*) ;; *autostart*) continue ;; esac
    /usr/libexec/immutafs/immutafs-boot persist-path "$item" || :
  done
}

# Moves at once.
moved() { move "$@"; boot; cat /run/said; }
undone() { agent prepare --undo || true; boot; cat /run/said; }

# Writes to the directory as a service would, if it can.
use() {
  echo "$1" >>"$app/alice/log" || return 0
  set_old_times "$app"
  sync -f "$app"
  picture "$app" >/run/before
}
