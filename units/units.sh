# shellcheck shell=sh
# Writes unit files and drop-ins for immutafs-generator to the directory $out.

# Drop-ins are collected first, so that one mkdir(1) creates all directories. systemd 219 reads at most 2047 characters of
# a line, so each line names one unit.
folders='' dropins=''
add_dropin() { # $1: unit; $2…: lines
  folders="$folders$out/$1.d$newline" dropins="$dropins$1$newline"
  shift
  for line; do
    dropins="$dropins$line$newline"
  done
  dropins="$dropins$newline"
}

write_dropins() { # reads folders and dropins
  [ -n "$folders" ] || return 0
  set -f
  IFS=$newline
  # shellcheck disable=SC2086 # a list
  mkdir -p $folders
  while [ -n "$dropins" ]; do
    text=${dropins%%"$newline$newline"*}
    dropins=${dropins#*"$newline$newline"}
    printf '%s\n' "${text#*"$newline"}" >>"$out/${text%%"$newline"*}.d/immutafs.conf"
  done
}

# Keeps an existing mount until systemd-shutdown(8) unmounts it. systemd 219 ignores drop-ins for a mount that it finds
# in mountinfo, but not a unit file that it has loaded before (src/core/mount.c, mount_setup_unit()).
keep_at_shutdown() { # $1: path
  # A restart would unmount it, and only the initramfs can mount it again.
  write_found_mount "$1" DefaultDependencies=no RefuseManualStop=yes
  local_fs_after="$local_fs_after $escaped.mount"
}

# Writes the unit of a mount that make-mounts or the initramfs makes, and sets escaped to the name of the unit. systemd
# finds the mount, and its condition prevents the unit from mounting anything itself: mount(8) would follow a symbolic link
# with which the owner of a directory above replaces the path. A skipped unit does not fail the units that require it.
# What= is the path itself, because systemd would make the unit require another mount.
write_found_mount() { # $1: path; $2…: lines of [Unit]
  escape_path "$1"
  found=$1
  shift
  set -- '[Unit]' "$@" 'ConditionPathExists=!/' '[Mount]' "What=$found" "Where=$found" Type=none Options=bind
  printf '%s\n' "$@" >"$out/$escaped.mount"
}

# Lets systemd alone unmount file systems. When a shutdown or a soft reboot stops blk-availability.service of LVM, its
# blkdeactivate(8) -u unmounts the file systems on device-mapper devices wherever they are mounted, except on / and a few
# other directories, and so the mounts of the lower layers. The command without -u still stops the queueing of multipath
# devices; these options exist in all versions of LVM since RHEL 7. SELinux does not let a generator read the unit.
leave_unmounting_to_systemd() {
  [ -s /usr/lib/systemd/system/blk-availability.service ] || return 0
  add_dropin blk-availability.service '[Service]' ExecStop= \
    'ExecStop=/usr/sbin/blkdeactivate -l wholevg -m disablequeueing'
}

# Units that local-fs.target wants, and units that it is ordered after. systemd loads this target and all units that the
# target names when it reads the first line of mountinfo, that is, before it reads our mounts.
local_fs_wants='' local_fs_after=''
add_local_fs_dropin() {
  [ -n "$local_fs_wants$local_fs_after" ] || return 0
  set -- '[Unit]'
  for unit in $local_fs_wants; do
    set -- "$@" "Wants=$unit"
  done
  for unit in $local_fs_after; do
    set -- "$@" "After=$unit"
  done
  add_dropin local-fs.target "$@"
}

# --- MOUNT_OPTIONS -------------------------------------------------------------------------------------

# The beginning of a command in the generator's units.
set_mount_options='/usr/libexec/immutafs/make-mounts options'

# A mount that the initramfs has given its options needs no unit, except at shutdown: a bind mount on a directory of /var
# is kept as /var is, and programs run from /run at the end of the shutdown (dracut-shutdown.service).
add_mount_option_units() {
  services_with_options=' ' user_options=nosuid,nodev
  expand_mount_options
  items_left=$option_items
  read_fstab_targets /etc/fstab
  while next_option_item; do
    case $item_path in
      '/run/user/*')
        add_user_runtime_units
        continue
        ;;
    esac
    find_mount "$item_path"
    if [ -z "$mount_dev" ] || ! has_mount_options; then
      add_mount_options_service
    else
      case $item_path in /var/*) is_mounted_by_fstab || keep_at_shutdown "$item_path" ;; esac
    fi
    [ "$item_path" != /run ] || permit_programs_at_shutdown
  done
}

has_mount_options() { # reads item_options and mount_options
  wanted=$item_options,
  while [ -n "$wanted" ]; do
    case ",$mount_options," in *",${wanted%%,*},"*) ;; *) return 1 ;; esac
    wanted=${wanted#*,}
  done
}

# local-fs.target waits for the service, unless fstab mounts the path with nofail, and so possibly after the boot.
add_mount_options_service() {
  escape_path "$item_path"
  service=immutafs-mount-options@$escaped.service
  find_fstab '' "$item_path" || :
  case ,$fstab_options, in
    *,nofail,*) set -- ;;
    *) set -- Before=local-fs.target ;;
  esac
  add_dropin "$service" '[Unit]' "RequiresMountsFor=$item_path" "$@"
  add_command "$service" "$item_path"
}

# Makes the service set $item_options at boot. Several items of MOUNT_OPTIONS may name the same
# path. $1: service; $2: path.
add_command() {
  case $services_with_options in
    *" $1 "*) add_dropin "$1" '[Service]' "ExecStart=$set_mount_options $item_options $2" ;;
    *)
      add_dropin "$1" '[Service]' ExecStart= "ExecStart=$set_mount_options $item_options $2"
      case $1 in *@.service) ;; *) local_fs_wants="$local_fs_wants $1" ;; esac
      ;;
  esac
  services_with_options="$services_with_options$1 "
}

# systemd-shutdown(8) runs /run/initramfs/shutdown, and only if /run permits programs.
permit_programs_at_shutdown() {
  case ,$item_options, in *,noexec,*) ;; *) return 0 ;; esac
  service=immutafs-mount-options@run.service
  case $services_with_options in
    *" $service "*) ;;
    *) add_command "$service" /run ;;
  esac
  add_dropin "$service" '[Service]' "ExecStop=$set_mount_options exec /run"
}

# user-runtime-dir@.service mounts /run/user/UID before systemd starts user@UID.service, which waits for the options.
# systemd 219 of RHEL 7 has no such unit: logind itself mounts a tmpfs there, without noexec, and starts no user@UID.service.
add_user_runtime_units() {
  if [ ! -e /usr/lib/systemd/system/user-runtime-dir@.service ]; then
    share_user_runtime
    return
  fi
  add_dropin user@.service '[Unit]' Wants=immutafs-user-runtime@%i.service After=immutafs-user-runtime@%i.service
  add_command immutafs-user-runtime@.service /run/user/%i
}

# Makes logind of RHEL 7 create /run/user/UID as a directory in one tmpfs with the options, so that there is no moment in
# which a process of the user could run a program there. If mount(2) fails with EPERM, logind changes the owner of the
# directory and continues, as it does in a container without CAP_SYS_ADMIN (systemd of RHEL 7,
# src/login/logind-user.c, user_mkdir_runtime_path()). systemd of RHEL 7 is built without seccomp, so this capability is
# removed from the set of its unit file; all others stay. systemd-tmpfiles(8) labels /run/user.
share_user_runtime() { # reads item_options
  user_options=$user_options,$item_options
  find_fstab '' /run/user || :
  if [ -n "$in_fstab" ]; then
    item_path=/run/user
    add_mount_options_service
  else
    case $local_fs_wants in *' run-user.mount'*) ;; *) local_fs_wants="$local_fs_wants run-user.mount" ;; esac
    # The first line is MemTotal.
    read -r _ memory _ </proc/meminfo
    # The default of RuntimeDirectorySize= is 10% of the memory, here for all users together. Whether "%" needs to be
    # doubled in Options= depends on the version of systemd.
    printf '[Unit]\nBefore=local-fs.target\n[Mount]\nWhat=tmpfs\nWhere=/run/user\nType=tmpfs\nOptions=mode=0755,size=%sk,%s\n' \
      "$((memory / 10))" "$user_options" >"$out/run-user.mount"
  fi
  case $services_with_options in *' systemd-logind.service '*) return 0 ;; esac
  services_with_options="${services_with_options}systemd-logind.service "
  add_dropin systemd-logind.service '[Unit]' After=run-user.mount '[Service]' CapabilityBoundingSet= \
    'CapabilityBoundingSet=CAP_MAC_ADMIN CAP_AUDIT_CONTROL CAP_CHOWN CAP_KILL CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_TTY_CONFIG'
}

# --- OVERLAY -------------------------------------------------------------------------------------------

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
  # shellcheck source=boot/overlay-paths.sh
  . "$parts/overlay-paths.sh"
  read_fstab_mounts ''
}

add_late_overlay() { # $1: path
  case $late_overlays in *" $1 "*) ;; *) late_overlays="$late_overlays$1 " ;; esac
}

# Adds a mount unit, so that units that need the path wait for the mount, and with it for the service.
add_overlay_mount() { # $1: path
  add_service_before_mount var "$1" ''
  write_found_mount "$1" Before=local-fs.target
  local_fs_wants="$local_fs_wants $path.mount $service"
}

# --- PERSIST -------------------------------------------------------------------------------------------

# immutafs-persist.service checks the store and the paths, and mounts the directories of the store. At the first use of a
# path, or if a path cannot be kept, it leaves the path to immutafs-persist@.service. The mount unit of each path lets
# systemd order the units that need the path. If the service fails, services with RequiresMountsFor= use the path as it is
# without PERSIST.
#
# local-fs.target waits for the service and not for the mount units. systemd reads the mount table at most five times a
# second, and if it changes more often, delays the start of every mount unit until the second is over (src/core/mount.c).

write_persist_units() { # reads mode and conf_PERSIST
  [ "$mode" != off ] || return 0
  # shellcheck source=units/persist-rules.sh
  . "$parts/persist-rules.sh"
  seen=' ' mounted=' ' mount_units='' awaited=' ' kept_items='' refused=''
  find_store_line
  for persisted in $conf_PERSIST; do
    path=${persisted%%:*}
    # The first of several items with the same path counts.
    case $seen in *" $path "*) continue ;; esac
    seen="$seen$path "
    kept_options=''
    case $persisted in *:*) kept_options=${persisted#*:} ;; esac
    if ! may_be_kept "$path" "$kept_options"; then
      # Without a mount unit, nothing waits for the service, which reports the reason.
      refused="$refused $path"
      continue
    fi
    # It is not a failure that this boot does not mount the path: the content of the disk is visible there.
    is_mounted_in_mode "$kept_options" || continue
    write_persist_mount
    if is_network_store; then refused="$refused $path"; else kept_items="$kept_items $persisted"; fi
  done
  [ -n "$kept_items$refused" ] || return 0
  # Waits until the mount of the store has succeeded or has failed, which it does if its device is not there in time
  # (x-systemd.device-timeout=, 90 seconds by default).
  if [ -n "$conf_PERSIST_STORE" ] && ! is_network_store; then await_mounts "$conf_PERSIST_STORE"; fi
  for path in $seen; do
    await_mounts "${path%/*}"
  done
  command="/usr/libexec/immutafs/mount-persisted ${conf_PERSIST_STORE:--} ${store_target:--}"
  for item in $kept_items ${refused:+--} $refused; do
    command="$command \\$newline$item"
  done
  set -- '[Service]' ExecStart= "ExecStart=$command" '[Unit]'
  for unit in $awaited; do
    ! exists || set -- "$@" "Wants=$unit"
    set -- "$@" "After=$unit"
  done
  # A restart of a mount mounts the directory of the store again.
  for unit in $mount_units; do
    set -- "$@" "Before=$unit" "PartOf=$unit"
  done
  add_dropin immutafs-persist.service "$@"
  local_fs_wants="$local_fs_wants immutafs-persist.service"
}

# Whether the mount unit of the store or a mount unit in a file exists. systemd 219 logs an error for every unit that is
# wanted and does not exist. Other mounts are mounted at boot if local-fs.target wants them, as it does those of fstab.
exists() { # reads unit
  escape_path "$store_target"
  [ "$unit" != "$escaped.mount" ] || return 0
  [ -e "/etc/systemd/system/$unit" ] || [ -e "/usr/lib/systemd/system/$unit" ]
}

# Lets the service wait for the mounts at and above a path, except for those of PERSIST itself. The service does not require
# them, because each path is independent of the others.
await_mounts() { # $1: path, or empty
  prefix='' left=${1#/}
  [ -z "$left" ] || left=$left/
  while [ -n "$left" ]; do
    prefix=$prefix/${left%%/*} left=${left#*/}
    case $mounted in *" $prefix "*) continue ;; esac
    escape_path "$prefix"
    case $awaited in *" $escaped.mount "*) ;; *) awaited="$awaited$escaped.mount " ;; esac
  done
}

write_persist_mount() { # reads path
  write_found_mount "$path" Wants=immutafs-persist.service After=immutafs-persist.service Before=local-fs.target
  mount_units="$mount_units $escaped.mount" mounted="$mounted$path "
}

# --- SCRATCH -------------------------------------------------------------------------------------------

# immutafs-scratch-device.service makes the file system, and immutafs-scratch.service mounts the paths, or provides them in
# memory. As with PERSIST, the mount unit of each path lets systemd order the units that need the path.
write_scratch_units() { # reads conf_SCRATCH and conf_SCRATCH_DEVICE
  # shellcheck source=units/persist-rules.sh
  . "$parts/persist-rules.sh"
  list=SCRATCH seen=' ' mounted=' ' mount_units='' awaited=' '
  for scratch_item in $conf_SCRATCH; do
    path=${scratch_item%%:*}
    case $seen in *" $path "*) continue ;; esac
    seen="$seen$path "
    # Without a mount unit, nothing waits for the service, which reports the reason.
    { check_path "$path" && check_fstab "$path"; } || continue
    write_found_mount "$path" Wants=immutafs-scratch.service After=immutafs-scratch.service Before=local-fs.target
    mount_units="$mount_units $escaped.mount" mounted="$mounted$path "
  done
  set -- '[Unit]'
  for path in $seen; do
    await_mounts "${path%/*}"
  done
  for unit in $awaited; do
    set -- "$@" "After=$unit"
  done
  for unit in $mount_units; do
    set -- "$@" "Before=$unit"
  done
  add_dropin immutafs-scratch.service "$@"
  local_fs_wants="$local_fs_wants immutafs-scratch.service"
  [ -n "$conf_SCRATCH_DEVICE" ] || return 0
  # systemd does not know that the overlays use this mount.
  keep_at_shutdown /run/immutafs/scratch-disk
  escape_path "$conf_SCRATCH_DEVICE"
  add_dropin immutafs-scratch-device.service '[Unit]' "Wants=$escaped.device" "After=$escaped.device"
  # A disk that does not exist delays the boot for this time. For one that udev has not processed yet, open-scratch waits.
  add_dropin "$escaped.device" '[Unit]' JobTimeoutSec=30
  add_dropin multi-user.target '[Unit]' Wants=immutafs-scratch-trim.service
  for target in poweroff reboot halt kexec; do
    add_dropin "$target.target" '[Unit]' Wants=immutafs-scratch-discard.service
  done
}

# --- moves ---------------------------------------------------------------------------------------------

# Makes immutafs-move.target the default target of this boot, with what udev and the mounts of fstab need instead of
# sysinit.target. A kernel argument that names a target takes precedence.
write_move_units() {
  moves=1
  ln -sf /usr/lib/systemd/system/immutafs-move.target "$early/default.target"
  set -- '[Unit]'
  for unit in kmod-static-nodes.service systemd-modules-load.service systemd-tmpfiles-setup-dev-early.service \
    systemd-tmpfiles-setup-dev.service systemd-udevd.service systemd-udev-trigger.service systemd-journald.service \
    lvm2-lvmetad.socket lvm2-lvmpolld.socket dm-event.socket multipathd.service; do
    # systemd 219 logs an error for every unit that is wanted and does not exist.
    [ ! -e "/usr/lib/systemd/system/$unit" ] || set -- "$@" "Wants=$unit"
  done
  add_dropin immutafs-move.target "$@"
  # Instead of an emergency shell in each boot that should move: an ordinary boot, which shows what could not be mounted.
  add_dropin emergency.service '[Service]' 'ExecStartPre=-/usr/libexec/immutafs/move-boot emergency'
}

# --- rehearsal and services that configure the guest ---------------------------------------------------

# Writes a timer that ends the rehearsal at its limit, and starts the recorder. The timer is part of sysinit.target and
# has no dependencies, so that it also runs if /var cannot be mounted or if a unit prevents the boot from completing.
# emergency.target does not stop it.
write_rehearsal_units() {
  case $rehearsal in *[!0-9]*) return ;; esac
  mkdir -p "$out/sysinit.target.wants" "$out/multi-user.target.wants"
  printf '[Unit]\nDescription=End the rehearsal of a sealed boot\nDefaultDependencies=no\nIgnoreOnIsolate=yes\n[Timer]\nOnBootSec=%s\nAccuracySec=1s\nUnit=immutafs-rehearsal-limit.service\n' \
    "$rehearsal" >"$out/immutafs-rehearsal-limit.timer"
  ln -sf ../immutafs-rehearsal-limit.timer "$out/sysinit.target.wants/immutafs-rehearsal-limit.timer"
  ln -sf /usr/lib/systemd/system/immutafs-rehearsal.service "$out/multi-user.target.wants/immutafs-rehearsal.service"
}

# Masks these units in a sealed boot with empty files of early priority, which override /etc (systemd.unit(5)):
# - cloud-init reads user data from any disk with the label cidata or config-2 in every boot, and a new instance-id there
#   makes it run the user data again (RHEL 7 to 10);
# - Afterburn reads SSH keys from a disk with the label config-2 (RHEL CoreOS).
# These services configured the guest before it was sealed. With SEED=host, cloud-init configures it in every sealed boot.
# Starts no process.
mask_provisioning() {
  if [ "$conf_SEED" = host ]; then run_cloud_init_from_seed && keep_host_keys_of_seed; else mask_cloud_init; fi
  mask_units cloud-init-hotplugd.service cloud-init-hotplugd.socket afterburn.service afterburn-checkin.service \
    afterburn-firstboot-checkin.service afterburn-hostname.service afterburn-sshkeys@.service
}

cloud_init_units='cloud-init-main.service cloud-init-local.service cloud-init-network.service cloud-init.service
  cloud-config.service cloud-final.service'

mask_cloud_init() {
  # shellcheck disable=SC2086 # a list
  mask_units $cloud_init_units
}

# Lets sshd generate missing host keys although cloud-init, which is masked, would do so: with a drop-in of the package
# cloud-init (disable-sshd-keygen-if-cloud-init-active.conf, RHEL 8 and later), sshd-keygen@.service does not start if
# cloud-init's generator has found a data source, such as the seed. An empty condition resets all (systemd.unit(5)).
generate_host_keys() {
  [ ! -e /usr/lib/systemd/system/sshd-keygen@.service ] ||
    add_dropin sshd-keygen@.service '[Unit]' ConditionPathExists= 'ConditionFileNotEmpty=|!/etc/ssh/ssh_host_%i_key'
}

# Lets sshd generate host keys only if cloud-init and the seed have written none: keys of other types than those of the seed would
# be new at every boot.
keep_host_keys_of_seed() {
  for unit in sshd-keygen.service sshd-keygen@.service; do
    [ ! -e "/usr/lib/systemd/system/$unit" ] ||
      add_dropin "$unit" '[Unit]' After=immutafs-seed.service After=cloud-init.service After=cloud-init-network.service \
        'ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key'
  done
}

mask_units() { # $@: units
  for unit; do
    [ ! -e "/usr/lib/systemd/system/$unit" ] || printf '' >"$early/$unit"
  done
}

# Lets the units of cloud-init start only after find-seed has copied the seed. cloud-init's own generator pulls in
# cloud-init.target only if it finds a data source itself, and it does not know the copy.
run_cloud_init_from_seed() {
  for unit in $cloud_init_units; do
    [ ! -e "/usr/lib/systemd/system/$unit" ] ||
      add_dropin "$unit" '[Unit]' After=immutafs-seed.service ConditionPathExists=/run/immutafs/seed/ready
  done
  set -- Wants=immutafs-seed.service Wants=immutafs-seed-finish.service
  [ ! -e /usr/lib/systemd/system/cloud-init.target ] || set -- "$@" Wants=cloud-init.target
  add_dropin multi-user.target '[Unit]' "$@"
}
