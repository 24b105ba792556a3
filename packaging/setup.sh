#!/bin/sh
# Installs the missing Debian packages (as root) and npm dependencies of package-lock.json that the build, the tests and
# the demo need on Debian 13. Takes little time if nothing is missing.
# shellcheck disable=SC2086 # lists of words
set -eu
cd "$(dirname "$0")/.."

packages='
  acl aide ansible-core ansible-lint attr auditd binutils busybox-static ca-certificates chromium cpio
  createrepo-c dash dnf dosfstools e2fsprogs fdisk fish fusefat g++ git gnupg grub-efi-amd64-bin grub-pc-bin haproxy iproute2
  kmod liblz4-1 liblzma5 libnbd-bin libquickjs libsystemd-dev libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu
  libvirt-daemon-driver-storage libxxhash0 libzstd1 lvm2 lz4 make man-db mandoc mmdebstrap mtools openscap-scanner
  openssh-client openssh-server openssl ovmf parted patchelf pkcs11-provider pkgconf prometheus prometheus-node-exporter python3
  python3-cryptography python3-libvirt qemu-guest-agent
  qemu-system-x86 qemu-utils quickjs rpm rpmlint rsync rsyslog rsyslog-gnutls rsyslog-relp secilc shellcheck softhsm2 strace stunnel4 systemd
  systemd-journal-remote time virtinst xfsprogs xorriso xz-utils yamllint zsh
'

missing_packages() {
  dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $packages 2>/dev/null |
    sed -n 's/^ii *//p' | sort -u >"$installed"
  printf '%s\n' $packages | sort -u | comm -23 - "$installed"
}

npm_dependencies() {
  if cmp -s package-lock.json node_modules/.immutafs-lock; then return; fi
  echo "setup: installing the npm dependencies of package-lock.json" >&2
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/.immutafs-lock
}

npm_dependencies &
npm=$!
installed=$(mktemp)
trap 'kill "$npm" 2>/dev/null || :; rm -f "$installed"' EXIT
missing=$(missing_packages)
if [ -n "$missing" ]; then
  if [ "$(id -u)" -ne 0 ]; then
    wait "$npm" || :
    echo "setup: as root, install:" $missing >&2
    exit 3
  fi
  echo "setup: installing" $missing >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

wait "$npm"
