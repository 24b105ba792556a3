#!/bin/sh
# Usage: small-system.sh REPOSITORY FOLDER MIB SCRIPT; see small-system.ts. The loop devices are detached while they are
# in use, so the kernel releases them when the last process of this system has ended.
set -e
repository=$1 folder=$2 size=$3 script=$4
root=/mnt

attach() { # image, MiB
  truncate -s "$2M" "$folder/$1"
  losetup --find --show --partscan "$folder/$1"
}

system=$(attach system 1000)
exec 8<"$system"
losetup -d "$system"
# A loop device keeps the read-only flag that a previous user set.
blockdev --setrw "$system"
parted -s "$system" mklabel gpt mkpart root 1MiB 600MiB mkpart volume 600MiB 100% 2>/dev/null
mkfs.xfs -q -f "$system"p1
volume=${system}p2
mkfs.xfs -q -f "$volume"
mount "$system"p1 "$root"
mount --make-shared "$root"

disk=$(attach disk "$size")
exec 9<"$disk"
losetup -d "$disk"
blockdev --setrw "$disk"

cd "$root" || exit
for link in bin lib lib64 sbin; do ln -s "usr/$link" "$link"; done
mkdir dev etc home media proc root run srv sys tmp usr var
mkdir -p var/lib/immutafs etc/immutafs
chmod 1777 tmp
cp -r /etc/passwd /etc/group /etc/ld.so.cache /etc/alternatives etc/
cp "$repository/packaging/immutafs.conf" etc/immutafs/
printf '# of the test\n%s / xfs defaults 0 0\n' "$system"p1 >etc/fstab
# Not a bind mount: the disk of this machine would be a disk with programs of the system, and with it the repository.
mkdir "$folder/none"
mount -t overlay -o "lowerdir=/usr:$folder/none" usr usr
mount --rbind /dev dev
mkdir -p dev/disk
mount -t tmpfs by-uuid dev/disk
mkdir dev/disk/by-uuid
mount -t proc proc proc
mount --bind /sys sys
mount -t tmpfs run run
mount --bind "$repository" media

export disk system volume
exec chroot "$root" sh -e /media/test/harness/small-system-inside.sh "$script"
