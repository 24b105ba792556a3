# shellcheck shell=sh disable=SC2154 # of assemble-var and the other parts of it
# What assemble-var does in the initramfs beside /var, for what comes after it.

# lvm in the real root must not try to make writable what cannot be. Where it can, on virtio-blk, it would load the
# root's table anew while the root is in use.
bind_lvmlocal() {
  own=$root/etc/lvm/lvmlocal.conf
  # Without LVM nobody needs it.
  [ -d "${own%/*}" ] || return 0
  if [ ! -e "$lvmlocal" ]; then
    volumes=''
    [ "$mode" != sealed ] || find_read_only_volumes
    { [ -z "$volumes" ] && [ ! -e "$lvm_filter" ]; } || write_lvmlocal "$own" "$volumes"
  fi
  [ -e "$lvmlocal" ] || return 0
  without_devices_file "$root"
  if [ ! -e "$own" ]; then
    lvm_warning='there is no /etc/lvm/lvmlocal.conf, which may be empty'
  elif mount --bind "$lvmlocal" "$own" && mount -o remount,bind,ro,nosuid,nodev,noexec "$own"; then
    return
  else
    lvm_warning='/etc/lvm/lvmlocal.conf cannot be bound over'
  fi
  append_boot_env "WARNING=$lvm_warning: lvm is not told what is read-only, and may fail to activate it"
}

# What fstab has on a read-only disk beside /, where it is there by now (/boot): a mount that systemd is told of when
# it starts, not one that is made beside it. It looks for those five times in a second at most
# (systemd, src/core/mount.c), and until then nothing goes on.
mount_top_level() {
  [ -r "$root/etc/fstab" ] || return 0
  while read -r source target type options _ || [ -n "$source" ]; do
    # shellcheck disable=SC1003
    case $type:$target in
      *:/?*/* | *:/var | *'\'*) continue ;;
      xfs:/?* | ext[34]:/?*) ;;
      *) continue ;;
    esac
    case ",$options," in *,noauto,* | *,x-systemd.automount,* | *,comment=systemd.automount,*) continue ;; esac
    { is_device "$source" && is_read_only_source "$source"; } || continue
    find_mount "$root$target"
    unescape "$options"
    [ -n "$mount_dev" ] || mount_read_only "$plain" "$type" "$node" "$root$target"
  done <"$root/etc/fstab"
}
