# shellcheck shell=sh
# Applies a seed in a guest without cloud-init, for find-seed: plain files that the host wrote to the directory immutafs of the
# seed, because sh does not parse YAML: host name, SSH host keys, and files of NetworkManager, network-scripts and
# systemd-networkd.

# Copies the files from the mounted seed. Sets error on failure.
copy_plain_files() { # $1: kernel name
  try mkdir "$files" || return 1
  for from in "$seed"/mount/immutafs/*; do
    [ -e "$from" ] || [ -L "$from" ] || continue
    file=${from##*/}
    find_target "$file" || fail "immutafs/$file on $1 is not a file that a seed can have" || return 1
    copy_file "$from" "$files" || return 1
  done
  [ -f "$files/hostname" ] || fail "cloud-init is not installed, and $1 has no file immutafs/hostname"
}

# Sets target and target_mode for the name of a file.
find_target() { # $1: name
  target_mode=644
  case $1 in
    *[!A-Za-z0-9._-]* | .*) return 1 ;;
    hostname) target=/etc/hostname ;;
    ssh_host_*_key) target=/etc/ssh/$1 target_mode=600 ;;
    ssh_host_*_key.pub | ssh_host_*_key-cert.pub) target=/etc/ssh/$1 ;;
    *.nmconnection) target=/etc/NetworkManager/system-connections/$1 target_mode=600 ;;
    ifcfg-* | route-* | route6-* | rule-* | rule6-*) target=/etc/sysconfig/network-scripts/$1 ;;
    *.network | *.netdev | *.link) target=/etc/systemd/network/$1 ;;
    *) return 1 ;;
  esac
}

# Writes the files to /etc, and lists their checksums in $seed/applied for the check seed-genuine. The keys of the image are
# removed, so that the guest has no other ones.
apply_plain_files() {
  name=''
  IFS= read -r name <"$files/hostname"
  case $name in
    '' | *[!A-Za-z0-9.-]* | [.-]*) fail 'immutafs/hostname does not begin with a host name' || return 1 ;;
  esac
  [ "${#name}" -le 64 ] || fail 'immutafs/hostname is longer than 64 characters' || return 1
  try touch "$applying" || return 1
  rm -f /etc/ssh/ssh_host_*
  targets=''
  for file in "$files"/*; do
    find_target "${file##*/}"
    # A new file, so that a symbolic link of the image is replaced.
    rm -f "$target"
    { [ -d "${target%/*}" ] || try mkdir -p -m 0755 "${target%/*}"; } && try cp "$file" "$target" &&
      try chmod "$target_mode" "$target" || return 1
    targets="$targets $target"
  done
  # shellcheck disable=SC2086 # a list
  [ ! -e /sys/fs/selinux/enforce ] || restorecon -F $targets
  # shellcheck disable=SC2086 # a list
  sha256sum -- $targets >"$seed/applied" || fail 'sha256sum failed' || return 1
  printf '%s\n' "$name" >/proc/sys/kernel/hostname || fail 'the host name cannot be set'
}
