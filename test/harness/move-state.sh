#!/bin/sh
# To be sourced in the small system of small-system.sh. Prepares it for --move-state: the scripts of the boot, /data on
# $disk, and /var/lib/app with content of every kind.
# shellcheck disable=SC2154 # variables of small-system.sh and move-state.ts
set -e

mount -t tmpfs libexec /usr/libexec
mkdir /usr/libexec/immutafs
cp /media/units/*.sh /media/units/persist-directory /media/units/mount-persisted /media/boot/*.sh /usr/libexec/immutafs/
# shellcheck disable=SC2086 # a list
cp $programs /usr/libexec/immutafs/
chmod +x /usr/libexec/immutafs/*
# The disks of this system are loop devices, which PERSIST_STORE refuses otherwise.
sed -i 's/loop\* | //' /usr/libexec/immutafs/persist-checks.sh

mkfs.ext4 -q -m 0 "$disk"
mkdir /data
mount -o nosuid,nodev "$disk" /data
printf '%s /data ext4 nosuid,nodev,nofail 0 0\n' "$disk" >>/etc/fstab
printf 'PERSIST_STORE=/data/store\n' >>/etc/immutafs/immutafs.conf

app=/var/lib/app copied=/data/store/seeding:var=lib=app kept=/data/store/var=lib=app
mkdir -p /root /var/tmp /var/lib
fill
mv /home "$app"
mkdir /home
setfattr -n security.selinux -v system_u:object_r:var_lib_t:s0 "$app"
touch -d '2011-02-03 04:05:06.7' "$app"
picture "$app" >/run/before

prepare() { agent prepare --only state "$@"; }
move() { prepare --apply --yes --move-state "$app" "$@"; }

# Checks that the directory has all of its content, which must be true at any moment.
whole() { picture "$app" >/run/now; diff /run/before /run/now; }

# Prints the mounts on the directory; fails if there are none.
mounts() { findmnt -rn -o TARGET,SOURCE,OPTIONS "$app" >/run/mounts && sed "s,$disk,DISK," /run/mounts; }

# What is on the system disk below the mounts.
below() { mkdir -p /run/below; mount --bind / /run/below; (cd "/run/below$app" && "$@"); umount /run/below; }

# Emulates a reboot: ends the processes, forgets /run, and mounts the directories of PERSIST as the boot does.
reboot() {
  while umount -l "$app" 2>/dev/null; do :; done
  grep -o ' /run/immutafs/prepare[^ ]*' /proc/self/mountinfo | sort -r | while read -r mount; do umount -l "$mount"; done
  rm -rf /run/immutafs/persisted /run/immutafs/prepare /run/immutafs/prepare-moving /run/immutafs/prepare.lock
  sed -n 's/^PERSIST=//p' /etc/immutafs/immutafs.conf | tr -s ' ' '\n' | grep . | while IFS=: read -r item _; do
    /usr/libexec/immutafs/persist-directory mount "$item"
  done
}

# Ends prepare with a signal at a named point: as a program starts, or when it has ended. The points are calls of these
# programs, which are replaced by a wrapper.
points() {
  mkdir -p /run/real
  for program in /usr/bin/rsync /usr/bin/mount /usr/bin/umount /usr/bin/sync /usr/bin/mv /usr/bin/find \
    /usr/libexec/immutafs/persist-directory; do
    cp "$program" /run/real/
    chmod +x "/run/real/${program##*/}"
  done
  cat >/run/point <<'END'
#!/bin/sh
real=/run/real/${0##*/}
if [ -s /run/signal ] && { read -r signal when pattern; } </run/signal && printf '%s' "${0##*/} $*" | grep -Eq -- "$pattern"; then
  : >/run/signal
  result=1
  if [ "$when" = after ]; then
    "$real" "$@"
    result=$?
  fi
  kill "-$signal" "$(cat /run/immutafs/prepare.lock)"
  sleep 1
  exit "$result"
fi
exec "$real" "$@"
END
  chmod +x /run/point
  for program in /run/real/*; do
    case $program in
      */persist-directory) /run/real/mount --bind /run/point /usr/libexec/immutafs/persist-directory ;;
      */mount) last=$program ;;
      *) /run/real/mount --bind /run/point "/usr/bin/${program##*/}" ;;
    esac
  done
  /run/real/mount --bind /run/point "/usr/bin/${last##*/}"
}

# Runs a command that ends with a signal at a point; fails if the point was not reached.
ended_at() { # signal, before or after, pattern of the command line; then the command
  printf '%s %s %s\n' "$1" "$2" "$3" >/run/signal
  point="$1 $2 $3"
  shift 3
  completed=''
  if "$@" >/run/said 2>&1; then completed=1; fi
  if [ -s /run/signal ] || [ -n "$completed" ]; then
    echo "not interrupted: $point"
    cat /run/said
    exit 1
  fi
  rm -f /run/immutafs/prepare.lock
}

# Makes the system as it was before the first move, with the old content.
reset() {
  while umount "$app" 2>/dev/null; do :; done
  rm -rf "$kept" "$copied" /var/lib/immutafs
  find "$app/moved-by-immutafs-agent/content" -mindepth 1 -maxdepth 1 -exec mv -t "$app" {} +
  rm -r "$app/moved-by-immutafs-agent"
  sed -i '/^PERSIST=/d' /etc/immutafs/immutafs.conf
  touch -d '2011-02-03 04:05:06.7' "$app"
  picture "$app" >/run/before
}

# Writes to the directory as a service would, if it can.
use() {
  echo "$1" >>"$app/alice/log" || return 0
  touch -d '2011-02-03 04:05:06.7' "$app/alice/log" "$app/alice" "$app"
  picture "$app" >/run/before
}

# Adds a service that writes to the directory all the time, and further lines to its unit file.
add_service() { # name, lines of [Service]
  mkdir -p /etc/systemd/system
  # shellcheck disable=SC2016 # for the shell of the service
  write='while sleep 0.1; do echo "$0"; done'
  printf '%s\n' '[Unit]' DefaultDependencies=no '[Service]' \
    "ExecStart=/bin/sh -c 'exec >>$app/alice/$1; $write'" "$2" >"/etc/systemd/system/$1"
}

# Starts a systemd with units of /etc/systemd/system, runs a script in one of its services, and prints its output.
with_systemd() { # script, units
  {
    sed '/^agent() {/,/^}/!d' /media/test/harness/small-system-inside.sh
    sed '/^[a-z_]*() /,/^}/!d; /^add_service() /,/^}/d; /^with_systemd() /,/^}/d' /media/test/harness/move-state.sh
    printf '%s\n' "app=$app kept=$kept disk=$disk" '. /media/test/harness/home-tree.sh' "$1"
  } >/run/inside
  shift
  # Without it, systemd enables units of this machine as at a first boot (systemd.preset(5)), whose state would be missed.
  tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
  printf '%s\n' '[Unit]' DefaultDependencies=no 'Wants=last.service' "Requires=$*" >/etc/systemd/system/test.target
  # shellcheck disable=SC2016 # systemd sets EXIT_STATUS
  printf '%s\n' '[Unit]' DefaultDependencies=no "After=$*" '[Service]' Type=oneshot \
    'ExecStart=/bin/sh -e /run/inside' StandardOutput=file:/run/result StandardError=file:/run/errors \
    'ExecStopPost=/bin/sh -c "echo $EXIT_STATUS >/run/status; systemctl poweroff --force --force >/dev/null"' \
    >/etc/systemd/system/last.service
  unshare --pid --fork --kill-child --mount --cgroup --propagation slave sh -c '
    mount -t proc proc /proc; umount /sys; mount -t sysfs sys /sys; mount -t cgroup2 cgroup /sys/fs/cgroup
    (sleep 100; systemctl poweroff --force --force) &
    exec env container=test /usr/lib/systemd/systemd --unit=test.target --log-target=console' >/run/console 2>&1 || true
  cat /run/result
  [ "$(cat /run/status)" = 0 ] || { cat /run/errors /run/console; return 1; }
}
