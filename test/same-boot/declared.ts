/** One kind of variation between boots that no attacker causes, or that is data by declaration. */
interface Variation {
  /** Matches `SECTION KEY`. */
  keys: RegExp;
  /** Matches the value, if only some values vary. */
  values?: RegExp;
  /** What is replaced in key and value. Without it, the entry is left out. */
  replaces?: RegExp;
  by?: string;
  reason: string;
}

/** A link to a disk that the host leaves writable (vdb to vdf), or to a device that is made of such disks. */
const writable = /-> \S*(vd[b-f]\d*|md\d+|loop\d+|dm-([2-9]|\d\d+))( |$)/;
const layers = '/run/var/(upper|below/etc/upper)';

/** The whole list of what may vary. Everything else is compared. */
// oxfmt-ignore
export const declared: readonly Variation[] = [
  // The test itself.
  { keys: /^file \/run\/vmtest|^block vdc$/, reason: 'the input of the test, and its output until now' },
  { keys: /^file (\/home|\/data|\/var\/lib\/(kept|app))$/, values: /^4\d{4} \d+:\d+( |$)/, reason: 'the owner, mode and attributes of a directory that is data' },
  // Times, counters, random values, and names that contain them.
  { keys: /^file \/run\/auditd\.pid$/, reason: 'a process ID' },
  { keys: /^process /, replaces: /--deserialize=\d+/, by: '', reason: 'the number of a file descriptor' },
  { keys: /^mount /, replaces: /(shared|master):\d+/g, by: '$1', reason: 'numbers in the order of the mounts' },
  { keys: /^file \/run\/immutafs\/(usage|report|boot-state)\.json$|^file \/run\/immutafs\/login$/, reason: 'results of the check, with its times' },
  { keys: /^file \/run\/immutafs\/(persisted|scratch)\//, reason: 'why a directory is not on a data disk; its mount is compared' },
  { keys: /^file \/run\/immutafs\/(boot\.env|scratch-device)$/, reason: 'its lines are compared one by one' },
  { keys: /^text \/run\/immutafs\/(boot\.env (UPTIME|IMPOSTOR|SEED_IGNORED|WARNING)|scratch-device (REASON|REMEDY))=/, reason: 'a time, and what the boot reports of the attack' },
  { keys: /^file \/run\/(systemd\/journal|log)\/|^file (\/var|\/run\/var\/upper)\/log\/(journal|audit)/, reason: 'logs, their positions and streams' },
  { keys: /^file \/run\/systemd\/units\//, reason: 'invocation IDs' },
  { keys: /^file \/run\/udev\/(data|links|watch|tags)/, reason: 'the database of udev, with times; the links in /dev are compared' },
  { keys: /^file \/dev\/disk\/by-diskseq\//, reason: 'numbers in the order of detection' },
  { keys: /^file \/dev\/disk\/by-uuid\/(?!1f5a)/, values: /dm-\d+( |$)/, reason: 'SCRATCH has a new file system in each boot' },
  { keys: /^file /, replaces: / trusted\.overlay\.uuid=.*?(?= \w+\.|$)/, reason: 'each overlay has a new UUID' },
  { keys: /^file \/run\/\S+\/work\/work\//, reason: 'temporary files of overlays' },
  { keys: new RegExp(`^file (/etc|${layers})/lvm/(archive|backup)`), reason: 'LVM records its metadata, with times' },
  { keys: new RegExp(`^file ${layers}/lib/systemd/random-seed$`), reason: 'the seed for the next boot, which the disk does not get' },
  { keys: /^sysctl fs\/(dentry-state|file-nr|inode-nr|inode-state|quota\/|aio-nr)/, reason: 'counters of the kernel' },
  { keys: /^sysctl kernel\/(random\/|ns_last_pid|pty\/nr)/, reason: 'random values and counters' },
  { keys: /^sysctl (kernel\/threads-max|user\/max_\w+_namespaces|vm\/(admin|user)_reserve_kbytes)$/, values: /^\d{4,5}$/, reason: 'proportional to the memory that UEFI leaves to the kernel' },
  { keys: /^mount \/dev$/, replaces: /nr_inodes=\d+/, by: '', reason: 'proportional to the memory that UEFI leaves to the kernel' },
  { keys: /^file \/run\/systemd\/efivars(\/SystemdOptions-\S+)?$/, values: /^40755 0:0( |$)|^100644 0:0 0 /, reason: 'the copy of the EFI variable SystemdOptions, which the initramfs has emptied' },
  { keys: /^mount \/sys\/firmware\/efi\/efivars/, values: / efivarfs efivarfs rw | tmpfs immutafs ro,size=4k,/, reason: 'the initramfs hides the EFI variables if SystemdOptions is set' },
  { keys: /^unit systemd-hibernate-clear\.service$/, values: /^loaded (inactive dead|active exited|failed failed)$/, reason: 'clears the EFI variable HibernateLocation, and fails if it is not a location; the check boot-inputs reports the variable' },
  { keys: /^(module|key) /, replaces: /^(\d+) .*/, by: '$1', reason: 'counts of uses' },
  // What runs at this moment.
  { keys: /^unix (\/run\/systemd\/journal\/stdout|$)/, reason: 'the connections of services' },
  { keys: /^process /, values: /^read-only, .*0::\/system\.slice\/immutafs-(check|drift)\.service$/, reason: 'a repeated check' },
  { keys: /^unit immutafs-check\.timer$/, replaces: /running$/, by: 'waiting', reason: 'a repeated check' },
  { keys: /^unit immutafs-drift\.service$/, replaces: /activating start$/, by: 'inactive dead', reason: 'a repeated check' },
  { keys: /^program /, values: /^read-only, /, reason: 'what services of the sealed disk have loaded' },
  { keys: /^key (keyring|user) (invocation_id|_ses|_uid)/, reason: 'keyrings of services' },
  { keys: /^unit (immutafs-persist@\S+|system-immutafs\\x2dpersist\.slice)/, reason: 'copy directories to the data disk in the first boot only' },
  { keys: /^file \/(etc\/lvm\/lvmlocal\.conf|run\/immutafs\/(impostors|lvm)|run\/lvm\/initrd_|dev\/block\/immutafs\/unsealed)/, reason: 'the filter that keeps LVM from copies of physical volumes' },
  { keys: /^file \/run\/lvm\/(newhints|(pvs|vgs)_(online|lookup)(\/\S*)?)$/, reason: 'what LVM has found, also on writable disks; volumes in use are compared' },
  { keys: new RegExp(`^file (/run/systemd/transient|${layers}/lvm)$`), values: /^40755 0:0( |$)/, reason: 'directories of transient units, which are compared, and of the filter for LVM' },
  // File systems of data disks, which root may damage.
  { keys: /^unit (home|data)\.mount$/, values: /^loaded (inactive dead|failed failed)$/, reason: 'there is no file system, or a damaged one; a mount is compared' },
  { keys: /^mount (\/home|\/data|\/var\/lib\/(kept|app))$/, replaces: /(?<= ext4 \/dev\/vd[b-f] rw(,seclabel)?),errors=(continue|remount-ro|panic)/, by: '', reason: 'what an error does is in the superblock; the check boot-inputs reports panic' },
  { keys: /^mount (\/data|\/var\/lib\/(kept|app))$/, replaces: /\/dev\/vdf (rw\S* ro: 0) size: 3686400 serial: spare/, by: '/dev/vdd $1 size: 409600 serial: data', reason: 'fstab names a UUID, which root has given to a file system on another writable disk' },
  // Devices of writable disks, which root may name as it likes. What is mounted from them is compared.
  { keys: /^file \/dev\//, values: writable, reason: 'a link to a writable disk; if it was one to a sealed disk, that is missing' },
  { keys: /^file \/dev\/disk\//, values: /^40755 0:0( |$)/, reason: 'a directory with such links' },
  { keys: /^(file \/dev\/|block )(vd[b-f]\d+|dm-([2-9]|\d\d+)|md\d+|loop\d+)$/, reason: 'partitions and volumes of writable disks' },
  { keys: /^file \/dev\/disk\/by-label\/cidata$/, reason: 'the boot does not find the seed by this link; the seed is compared' },
  { keys: /^file (\/dev\/md|\/run\/mdadm\/(map|autorebuild\.pid))$/, values: /^(40755|100[67]00) 0:0( |$)/, reason: 'udev has mdadm assemble an array of writable disks' },
  { keys: /^(module (md_mod|raid1)|sysctl dev\/raid\/speed_limit_(max|min))$/, values: /^\d+$/, reason: 'the driver of such an array' },
  { keys: /^process \/usr\/sbin\/mdadm --monitor --scan $/, values: /^read-only, .*0::\/system\.slice\/mdmonitor\.service$/, reason: 'udev starts the monitor of such an array' },
  { keys: /^unit md(monitor\.service|monitor-oneshot\.timer|check_(continue|start)\.timer)$/, values: /^(masked inactive dead|loaded active running)$/, reason: 'the unit of this monitor, and the timers that it wants' },
  { keys: /^unit blockdev@dev-vd[b-f]\d*\.target$/, values: /^loaded inactive dead$/, reason: 'a target after which systemd checks a file system on this writable disk' },
  { keys: /^unit \S+\.device$/, reason: 'they follow the links in /dev' },
];
