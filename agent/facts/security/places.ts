import { once } from '../../lib/cached.ts';
import { isBelow } from '../../lib/paths.ts';

/**
 * Why `changes` shows a file below a place: cron starts it, systemd reads it, and so on (agent/changes/category.ts).
 */
type PlaceCategory = 'cron' | 'unit' | 'udev' | 'at' | 'startup' | 'login';

/** A directory or a file from which programs start without an action of the user who owns them, or that grants access. */
interface Place {
  path: string;
  /** Completes the sentence "PATH is not only data: …". */
  why: string;
  /** Absent if services also write there in ordinary operation, so that a changed file alone says nothing. */
  category?: PlaceCategory;
}

/** Paths for which the same is true, separated by white space. */
type Rows = readonly [why: string, paths: string, category?: PlaceCategory];

function placesOf([why, paths, category]: Rows): Place[] {
  return paths
    .trim()
    .split(/\s+/)
    .map((path) => ({ path, why, ...(category === undefined ? {} : { category }) }));
}

/** The rows outside of the directories that hold data. */
const systemPlaces: readonly Rows[] = [
  // Broad rows. `changes` has rows below them for the files that matter.
  ['services, logins and the boot are configured there', '/etc'],
  ['shells and user services start programs from home directories', '/home /root /var/home /var/roothome'],
  ['services start programs from it', '/opt /usr'],

  [
    'cron starts programs from it',
    `/etc/anacrontab /etc/cron.allow /etc/cron.d /etc/cron.daily /etc/cron.deny /etc/cron.hourly /etc/cron.monthly
     /etc/cron.weekly /etc/crontab /etc/incron.d`,
    'cron',
  ],
  ['it decides who may submit jobs of at', '/etc/at.allow /etc/at.deny', 'at'],
  [
    'systemd starts programs from it',
    `/etc/systemd /lib/systemd/system /lib/systemd/user /usr/lib/systemd/system /usr/lib/systemd/user
     /run/systemd/system /run/systemd/user /run/systemd/system.control /run/systemd/user.control
     /run/systemd/system.attached /run/systemd/transient /run/systemd/generator /run/systemd/generator.early
     /run/systemd/generator.late /run/systemd/system-generators /run/systemd/user-generators`,
    'unit',
  ],
  [
    'udev starts programs from it',
    '/etc/udev /run/udev/rules.d /lib/udev/rules.d /usr/lib/udev/rules.d',
    'udev',
  ],
  [
    'the boot starts programs or loads modules from it',
    `/etc/binfmt.d /etc/default /etc/init.d /etc/init /etc/inittab /etc/kernel /etc/modprobe.d /etc/modules
     /etc/modules-load.d /etc/rc.d /etc/rc.local /etc/rc0.d /etc/rc1.d /etc/rc2.d /etc/rc3.d /etc/rc4.d /etc/rc5.d
     /etc/rc6.d /etc/rcS.d /etc/sysctl.conf /etc/sysctl.d /etc/tmpfiles.d`,
    'startup',
  ],
  [
    'the next boot is built from it in maintenance',
    '/etc/dracut.conf /etc/dracut.conf.d /etc/grub.d /etc/initramfs-tools /etc/kdump.conf',
    'startup',
  ],
  [
    'a changed network connection starts programs from it',
    '/etc/NetworkManager /etc/dhcp /etc/network /etc/networkd-dispatcher /etc/ppp',
    'startup',
  ],
  [
    'every login or shell reads it',
    `/etc/X11 /etc/bash.bashrc /etc/bash_completion.d /etc/bashrc /etc/csh.cshrc /etc/csh.login /etc/environment
     /etc/profile /etc/profile.d /etc/skel /etc/xdg /etc/zlogin /etc/zprofile /etc/zsh /etc/zshenv /etc/zshrc`,
    'startup',
  ],
  [
    'every program loads libraries that it names',
    '/etc/alternatives /etc/ld.so.conf /etc/ld.so.conf.d /etc/ld.so.preload',
    'startup',
  ],
  [
    'it decides who may log in or act as root',
    '/etc/pam.d /etc/polkit-1 /etc/security /etc/sudoers /etc/sudoers.d',
    'startup',
  ],
  [
    'it decides who may log in or act as root',
    '/etc/group /etc/gshadow /etc/nsswitch.conf /etc/passwd /etc/shadow /etc/ssh /etc/sssd',
    'login',
  ],
  ['it decides whom the guest trusts', '/etc/pki /etc/ssl'],
  [
    'this agent, services and the boot are configured there',
    '/etc/immutafs /etc/lvm /etc/selinux /etc/sysconfig',
    'startup',
  ],
  [
    'the package manager runs programs from it',
    '/etc/apt /etc/dnf /etc/dpkg /etc/rpm /etc/yum /etc/yum.conf /etc/yum.repos.d',
    'startup',
  ],
  [
    'a service that runs as root starts programs from it',
    `/etc/aliases /etc/audisp /etc/audit /etc/containers /etc/dbus-1 /etc/inetd.conf /etc/logrotate.conf
     /etc/logrotate.d /etc/rsyslog.conf /etc/rsyslog.d /etc/snmp /etc/xinetd.d`,
    'startup',
  ],
];

/**
 * The directories whose content is data by default. In the directory of a service, a service reads its own files with its
 * own rights; the exceptions in `varPlaces` are read by root, or grant access to the guest. Other directories at the top,
 * in /var and in /etc are not known: they need the option autostart.
 */
export const dataPlaces: readonly string[] = [
  ...[
    '/data',
    '/srv',
    '/var/account',
    '/var/backups',
    '/var/bacula',
    '/var/cache/bind',
    '/var/crash',
    '/var/cvs',
  ],
  ...[
    '/var/db/tang',
    '/var/ftp',
    '/var/games',
    '/var/git',
    '/var/kerberos',
    '/var/lib',
    '/var/local',
    '/var/log',
  ],
  ...[
    '/var/mail',
    '/var/named',
    '/var/opt',
    '/var/spool',
    '/var/svn',
    '/var/symas',
    '/var/vmail',
    '/var/www',
  ],
  // Exceptions from the exceptions below.
  ...['/var/lib/libvirt/images', '/var/lib/sss/keytabs'],
  ...['/var/lib/systemd/coredump', '/var/lib/systemd/timers'],
  // The output and the counter of at.
  ...['/var/spool/at/.SEQ', '/var/spool/at/spool', '/var/spool/cron/atjobs/.SEQ', '/var/spool/cron/atspool'],
];

/** The exceptions in the directories that hold data: see places.ts. */
const varPlaces: readonly Rows[] = [
  ['cron starts programs from it', '/var/spool/cron /var/spool/fcron /var/spool/incron', 'cron'],
  ['at starts jobs from it', '/var/spool/at /var/spool/cron/atjobs', 'at'],
  [
    'the scheduler starts jobs from it',
    '/var/spool/pbs /var/spool/slurm /var/spool/slurmctld /var/spool/slurmd /var/spool/torque',
  ],
  ['systemd starts the services of the users that it names', '/var/lib/systemd/linger', 'unit'],
  ['systemd keeps the state of units and of user sessions there', '/var/lib/systemd'],
  [
    'systemd merges images from it into /usr and /etc, or starts them',
    '/var/lib/confexts /var/lib/extensions /var/lib/machines /var/lib/portables',
    'startup',
  ],
  ['cloud-init starts programs from it', '/var/lib/cloud'],
  [
    'an agent of the cloud, which runs as root, starts programs from it',
    '/var/lib/amazon /var/lib/google /var/lib/waagent',
  ],
  [
    'containers and virtual machines start from it',
    `/var/lib/cni /var/lib/containerd /var/lib/containers /var/lib/crio /var/lib/docker /var/lib/etcd
     /var/lib/incus /var/lib/k0s /var/lib/kubelet /var/lib/libvirt /var/lib/lxc /var/lib/lxd /var/lib/nomad
     /var/lib/rancher`,
  ],
  [
    'the package manager runs scripts from it, and decides from it what is installed',
    `/var/lib/PackageKit /var/lib/apt /var/lib/dnf /var/lib/dpkg /var/lib/flatpak /var/lib/fwupd /var/lib/pacman
     /var/lib/rpm /var/lib/snapd /var/lib/yum`,
  ],
  ['programs in /usr are selected from it in maintenance', '/var/lib/alternatives', 'startup'],
  ['kernel modules are built and installed from it', '/var/lib/dkms', 'startup'],
  ['kdump boots an initramfs from it', '/var/lib/kdump'],
  ['it holds the SELinux policy', '/var/lib/selinux', 'startup'],
  ['it decides who may log in or act as root', '/var/lib/pam /var/lib/polkit-1', 'startup'],
  [
    'it caches logins, groups and sudo rules, which permit a login while the servers cannot be reached',
    '/var/lib/sss',
  ],
  ['it holds the users of Samba and the cached logins of winbind', '/var/lib/samba'],
  ['it decides what fapolicyd permits to run', '/var/lib/fapolicyd'],
  ['certmonger runs the commands of its requests as root', '/var/lib/certmonger'],
  ['iscsid attaches the disks that it names', '/var/lib/iscsi'],
  ['resource agents run as root what its configuration names', '/var/lib/pacemaker'],
  ['it decides which nodes may run commands as root', '/var/lib/pcsd'],
  [
    'an agent that runs as root starts programs or applies settings from it',
    `/srv/pillar /srv/salt /var/lib/cfengine /var/lib/cfengine3 /var/lib/chef /var/lib/insights /var/lib/pcp
     /var/lib/puppet /var/lib/salt /var/opt/BESClient /var/opt/ds_agent /var/opt/microsoft`,
  ],
];

/**
 * The one table of the places from which programs start by themselves, or that grant access. `changes` and `prepare` read
 * it here, and so does the boot, for PERSIST.
 */
export const startPlaces = once((): readonly Place[] => [...systemPlaces, ...varPlaces].flatMap(placesOf));

const byPath = once(
  () =>
    new Map<string, Place | 'data'>([
      ...dataPlaces.map((path) => [path, 'data'] as const),
      ...startPlaces().map((place) => [place.path, place] as const),
    ]),
);

/**
 * Returns the nearest row at or above a path: a place, or `data`; undefined if the table has no such row. It is then not
 * known what the path holds.
 */
export function placeOf(path: string): Place | 'data' | undefined {
  for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
    const found = byPath().get(path.slice(0, end));
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * The directories with the programs of the system, its configuration and its boot. A file system that is mounted there is
 * never data: it is mounted in maintenance, too, when what runs from it can change the system disk.
 */
export const programDirectories: readonly string[] = [
  ...[
    '/bin',
    '/boot',
    '/efi',
    '/etc',
    '/lib',
    '/lib32',
    '/lib64',
    '/libx32',
    '/opt',
    '/root',
    '/sbin',
    '/usr',
  ],
  ...['/var/roothome'],
];

/** Whether a path is / or in a directory with the programs of the system. */
export function isOfPrograms(path: string): boolean {
  return path === '/' || programDirectories.some((directory) => isBelow(path, directory));
}

/**
 * Returns why programs start from a file system at a path; undefined if it holds only data or if that is not known. Below
 * a directory of data, only the places from which the system itself starts programs count.
 */
export function startReason(path: string): string | undefined {
  const place = placeOf(path);
  if (place !== undefined && place !== 'data') return `${place.path}: ${place.why}`;
  const inner = startPlaces().find((each) => each.category !== undefined && each.path.startsWith(`${path}/`));
  return inner && `${inner.path}: ${inner.why}`;
}

/** Returns the item of PERSIST for a path: with autostart unless the path is known to hold only data. */
export function persistItem(path: string): string {
  const isData =
    placeOf(path) === 'data' && !startPlaces().some((place) => place.path.startsWith(`${path}/`));
  return isData ? path : `${path}:autostart`;
}

/**
 * Does the same, with further options.
 * @param options separated by commas; or empty
 */
export function persistItemWith(path: string, options: string): string {
  const item = persistItem(path);
  if (options === '') return item;
  return `${item}${item === path ? ':' : ','}${options}`;
}

/** Files that are executed or read at a login, or that permit a login, relative to the home directory. */
export const homeFiles: readonly string[] = [
  ...['.bash_profile', '.bash_login', '.bashrc', '.bash_logout', '.profile'],
  ...['.zshenv', '.zshrc', '.zprofile', '.zlogin', '.zlogout', '.login', '.cshrc', '.tcshrc'],
  ...['.ssh/authorized_keys', '.ssh/authorized_keys2', '.ssh/rc', '.ssh/environment'],
  ...['.forward', '.pam_environment', '.k5login', '.rhosts', '.shosts'],
  ...['.xinitrc', '.xprofile', '.xsession', '.xsessionrc'],
];

/** The directory of the units of a user, relative to the home directory. */
export const homeUnits = '.config/systemd/user';
