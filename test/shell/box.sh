#!/bin/sh
# Makes the small system of box.ts in the mount namespace that it runs in, and runs $1/run in it.
# shellcheck disable=SC2154 # sh is in the environment: what /bin/sh is
# $1: folder with files/, out/ and run; $2: the folder of the boot scripts; $3…: more scripts.
set -eu
folder=$1 scripts=$2
shift 2
mkdir "$folder/root"
mount -t tmpfs -o mode=0755 box "$folder/root"
cd "$folder/root"
mkdir dev etc out proc run sys tmp upper usr work

# This machine's programs, with the boot scripts among them.
mount -t overlay -o "lowerdir=/usr,upperdir=$PWD/upper,workdir=$PWD/work" box usr
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
mkdir -p usr/libexec/immutafs
cp -R "$scripts"/. "$@" usr/libexec/immutafs/
rm usr/bin/sh
printf '#!/bin/bash\nexec %s "$@"\n' "$sh" >usr/bin/sh
chmod +x usr/bin/sh

mount --rbind /dev dev
mount --bind "$folder/out" out
mount -t proc proc proc
# /proc/self is another folder for each process, so a fixture of it takes its place.
for file in "$folder"/files/proc/*; do
  if [ -d "$file" ]; then
    mount -t tmpfs box proc
    cp -R "$folder"/files/proc/. proc/
    break
  fi
  mount --bind "$file" "proc/${file##*/}"
done
for file in "$folder"/files/*; do
  [ "${file##*/}" = proc ] || cp -R "$file" .
done
cp "$folder/run" run-in-box
# By bash, whatever sh is here.
exec chroot . bash /run-in-box
