#!/bin/sh
# Builds the sandbox of sandbox.ts in the current mount namespace, and runs $1/run in the sandbox.
# $1: directory with files/, out/ and run; $2: directory of the boot scripts; $3…: more scripts.
# The environment variable sh contains the command that /bin/sh runs.
# shellcheck disable=SC2154 # sh
set -eu
folder=$1 scripts=$2
shift 2
mkdir "$folder/root"
mount -t tmpfs -o mode=0755 sandbox "$folder/root"
cd "$folder/root"
mkdir dev etc out proc run sys tmp usr upper upper/dev upper/usr work work/dev work/usr

# Mount overlays over the machine's programs and devices, so that the boot scripts and the directories that a test
# creates do not appear on the machine.
for name in dev usr; do
  mount -t overlay -o "lowerdir=/$name,upperdir=$PWD/upper/$name,workdir=$PWD/work/$name" sandbox "$name"
done
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
mkdir -p usr/libexec/immutafs
cp -R "$scripts"/. "$@" usr/libexec/immutafs/
rm usr/bin/sh
printf '#!/bin/bash\nexec %s "$@"\n' "$sh" >usr/bin/sh
chmod +x usr/bin/sh

mount --bind "$folder/out" out
mount -t proc proc proc
# /proc/self differs for each process. A fixture with a directory, such as proc/self, therefore replaces all of /proc.
for file in "$folder"/files/proc/*; do
  if [ -d "$file" ]; then
    mount -t tmpfs sandbox proc
    cp -R "$folder"/files/proc/. proc/
    break
  fi
  mount --bind "$file" "proc/${file##*/}"
done
for file in "$folder"/files/*; do
  [ "${file##*/}" = proc ] || cp -R "$file" .
done
cp "$folder/run" run-in-sandbox
# Run the test's lines with bash, whatever /bin/sh is in the sandbox.
exec chroot . bash /run-in-sandbox
