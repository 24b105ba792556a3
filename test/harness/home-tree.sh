#!/bin/sh
# To be sourced. Fills /home with everything that a copy must keep, and prints a tree for comparison.
set -e

# Prints all data and metadata of a tree that a copy must keep: not an empty lost+found, which only ext4 has, and which is one
# of the links of the topmost directory.
picture() (
  cd "$1"
  kept() { find . ! \( -path ./lost+found -empty \) "$@"; }
  kept \( -path . -printf "%p %y %m %U %G %T@\n" -o -printf "%p %y %m %U %G %n %T@ %l\n" \) | sort
  kept -type f -printf "%p %s\n" | sort
  kept -type f -print0 | sort -z | xargs -0 -r sha256sum
  kept ! -type l -print0 | sort -z | xargs -0 getfacl -n -p 2>/dev/null
  # Skip the attributes that contain ACLs, which differ between XFS and ext4.
  kept -print0 | sort -z | xargs -0 getfattr -h -d -m "^(user|security|trusted)[.][^S]" -e hex 2>/dev/null
)

# Sets old times for what has new ones. rsync compares times in whole seconds: if the original of a directory was changed in the
# same second in which rsync changes the copy, the times seem to be equal, and rsync does not set that of the copy.
set_old_times() {
  find "$1" -mindepth 1 -newermt 2011-03-01 -exec touch -h -d "2011-02-03 04:05:06.123456789" {} +
  touch -d "2011-02-03 04:05:06.7" "$1"
}

# Fills /home.
fill() (
  mkdir -p /home/alice/deep/er /home/bob
  cd /home/alice
  head -c 3000000 /dev/urandom >data
  ln data deep/linked
  ln data /home/bob/linked
  head -c 100 /dev/urandom | dd of=holes bs=1 seek=10000000 status=none
  ln -s ../bob/linked symbolic
  ln -s nowhere dangling
  printf "#!/bin/sh\n" >suid
  chmod 6755 suid
  mkfifo fifo
  touch "$(printf "with\nnewline")" "$(printf "not \377 utf-8")" "with  spaces " -- "-dash"
  setfacl -m u:12345:rwx,g:54321:r deep
  setfacl -d -m u:12345:rwx deep
  setfacl -m u:12345:r data
  setfattr -n user.note -v hello data
  setfattr -n user.note -v folder deep
  setfattr -n trusted.note -v secret data
  setfattr -n security.selinux -v unconfined_u:object_r:user_home_t:s0 data
  setfattr -n security.selinux -v system_u:object_r:home_root_t:s0 /home
  chown -R 12345:54321 /home/bob
  chown -h 12346:54321 symbolic
  touch -d "2001-02-03 04:05:06.789012345" data deep -- "-dash"
  chmod 0700 /home/alice
  # tmpfiles.d sets this mode at each boot.
  chmod 0755 /home
  set_old_times /home
)
