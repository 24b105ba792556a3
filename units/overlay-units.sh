# shellcheck shell=sh disable=SC2034,SC2154 # variables of immutafs-generator
# Units for the paths of OVERLAY, for immutafs-generator.

# Keeps the overlays that the initramfs mounted at shutdown and in a soft reboot, as it keeps /var. Sets late_overlays to
# the other paths that can get an overlay, between spaces.
keep_or_defer_overlays() {
  fstab_mounts=''
  for overlay_item in $conf_OVERLAY; do
    overlay_item=${overlay_item%%:*}
    case $overlays in
      *"$newline$overlay_item deferred"* | *"$newline$overlay_item begun"*) add_late_overlay "$overlay_item" ;;
      *"$newline$overlay_item "*) ;;
      *)
        # The initramfs has no record, so its hook did not run, or it is the hook of an earlier version.
        load_overlay_paths
        is_refused "$overlay_item" && continue
        place_overlay '' "$overlay_item"
        case $state in now | deferred) add_late_overlay "$overlay_item" ;; esac
        ;;
    esac
  done
  for early_overlay in $early_overlays; do
    find_mount "$early_overlay"
    [ "$mount_type" != overlay ] || keep_at_shutdown "$early_overlay"
  done
  find_mount /run/immutafs/root
  [ -z "$mount_dev" ] || keep_at_shutdown /run/immutafs/root
}

load_overlay_paths() {
  [ -z "$fstab_mounts" ] || return 0
  # shellcheck source=dracut/overlay-paths.sh
  . "$parts/overlay-paths.sh"
  read_fstab_mounts ''
}

add_late_overlay() { # $1: path
  case $late_overlays in *" $1 "*) ;; *) late_overlays="$late_overlays$1 " ;; esac
}

# Adds a mount unit for which units that need the path wait, and so for the service.
add_overlay_mount() { # $1: path
  add_service_before_mount var "$1" ''
  write_found_mount "$1" Before=local-fs.target
  local_fs_wants="$local_fs_wants $path.mount $service"
}
