# shellcheck shell=sh disable=SC2154 # variables of assemble-var and of the files that it sources
# Functions for the mounts that the initramfs makes in addition to /var: the LVM configuration of this boot, and
# read-only file systems in fstab.

# Bind-mounts the LVM configuration of this boot over lvmlocal.conf of the real root, so that LVM does not try to make
# read-only volumes writable. On virtio-blk, LVM would succeed and reload the table of the root while the root is in
# use.
bind_lvmlocal() {
  local_conf=$root/etc/lvm/lvmlocal.conf
  # Without LVM there is nothing to configure.
  [ -d "${local_conf%/*}" ] || return 0
  if [ ! -e "$lvmlocal" ]; then
    volumes=''
    [ "$mode" != sealed ] || find_read_only_volumes
    { [ -z "$volumes" ] && [ ! -e "$lvm_filter" ]; } || write_lvmlocal "$local_conf" "$volumes"
  fi
  [ -e "$lvmlocal" ] || return 0
  disable_devices_file "$root"
  if [ ! -e "$local_conf" ]; then
    lvm_warning='/etc/lvm/lvmlocal.conf does not exist (an empty file is enough)'
  elif mount --bind "$lvmlocal" "$local_conf" && mount -o remount,bind,ro,nosuid,nodev,noexec "$local_conf"; then
    return
  else
    lvm_warning='/etc/lvm/lvmlocal.conf: the bind mount failed'
  fi
  append_boot_env "WARNING=$lvm_warning: LVM does not know which volumes are read-only, and may fail to activate them"
}

# Mounts the file systems that fstab mounts directly below / (such as /boot) if their disk is read-only and present.
# systemd finds these mounts when it starts. If systemd mounted the file systems itself, the boot would wait until
# systemd notices the new mounts, because it reads mountinfo at most five times a second (systemd, src/core/mount.c).
mount_read_only_early() {
  [ -r "$root/etc/fstab" ] || return 0
  while read_fstab_line; do
    case $type:$target in
      # Of the characters that mountinfo escapes, find_mount knows none.
      *:/?*/* | *:/var | *[[:space:]]* | *\\*) continue ;;
      xfs:/?* | ext[34]:/?*) ;;
      *) continue ;;
    esac
    case ",$options," in *,noauto,* | *,x-systemd.automount,* | *,comment=systemd.automount,*) continue ;; esac
    # Late boot mounts a file system of OVERLAY as a lower layer.
    case " $conf_OVERLAY " in *" $target "* | *" $target:"*) continue ;; esac
    { is_device "$source" && is_read_only_source "$source"; } || continue
    find_mount "$root$target"
    unescape "$options"
    [ -n "$mount_dev" ] || mount_read_only "$unescaped" "$type" "$node" "$root$target"
  done <"$root/etc/fstab"
}
