import { type Place, rows } from './place.ts';

/** The rows outside of the directories that hold data. */
export const systemPlaces: readonly Place[] = [
  // Broad rows. `changes` has rows below them for the files that matter.
  ...rows('services, logins and the boot are configured there', undefined, '/etc'),
  ...rows('shells and user services start programs from home directories', undefined, '/home /root'),
  ...rows(
    'shells and user services start programs from home directories',
    undefined,
    '/var/home /var/roothome',
  ),
  ...rows('services start programs from it', undefined, '/opt /usr'),

  ...rows(
    'cron starts programs from it',
    'cron',
    `/etc/anacrontab /etc/cron.allow /etc/cron.d /etc/cron.daily /etc/cron.deny /etc/cron.hourly /etc/cron.monthly
     /etc/cron.weekly /etc/crontab /etc/incron.d`,
  ),
  ...rows('it decides who may submit jobs of at', 'at', '/etc/at.allow /etc/at.deny'),
  ...rows(
    'systemd starts programs from it',
    'unit',
    '/etc/systemd /lib/systemd/system /lib/systemd/user /usr/lib/systemd/system /usr/lib/systemd/user',
  ),
  ...rows(
    'systemd starts programs from it',
    'unit',
    `/run/systemd/system /run/systemd/user /run/systemd/system.control /run/systemd/user.control
     /run/systemd/system.attached /run/systemd/transient /run/systemd/generator /run/systemd/generator.early
     /run/systemd/generator.late /run/systemd/system-generators /run/systemd/user-generators`,
  ),
  ...rows(
    'udev starts programs from it',
    'udev',
    '/etc/udev /run/udev/rules.d /lib/udev/rules.d /usr/lib/udev/rules.d',
  ),
  ...rows(
    'the boot starts programs or loads modules from it',
    'startup',
    `/etc/binfmt.d /etc/default /etc/init.d /etc/init /etc/inittab /etc/kernel /etc/modprobe.d /etc/modules
     /etc/modules-load.d /etc/rc.d /etc/rc.local /etc/rc0.d /etc/rc1.d /etc/rc2.d /etc/rc3.d /etc/rc4.d /etc/rc5.d
     /etc/rc6.d /etc/rcS.d /etc/sysctl.conf /etc/sysctl.d /etc/tmpfiles.d`,
  ),
  ...rows(
    'the next boot is built from it in maintenance',
    'startup',
    '/etc/dracut.conf /etc/dracut.conf.d /etc/grub.d /etc/initramfs-tools /etc/kdump.conf',
  ),
  ...rows(
    'a changed network connection starts programs from it',
    'startup',
    '/etc/NetworkManager /etc/dhcp /etc/network /etc/networkd-dispatcher /etc/ppp',
  ),
  ...rows(
    'every login or shell reads it',
    'startup',
    `/etc/X11 /etc/bash.bashrc /etc/bash_completion.d /etc/bashrc /etc/csh.cshrc /etc/csh.login /etc/environment
     /etc/profile /etc/profile.d /etc/skel /etc/xdg /etc/zlogin /etc/zprofile /etc/zsh /etc/zshenv /etc/zshrc`,
  ),
  ...rows(
    'every program loads libraries that it names',
    'startup',
    '/etc/alternatives /etc/ld.so.conf /etc/ld.so.conf.d /etc/ld.so.preload',
  ),
  ...rows(
    'it decides who may log in or act as root',
    'startup',
    '/etc/pam.d /etc/polkit-1 /etc/security /etc/sudoers /etc/sudoers.d',
  ),
  ...rows(
    'it decides who may log in or act as root',
    'login',
    '/etc/group /etc/gshadow /etc/nsswitch.conf /etc/passwd /etc/shadow /etc/ssh /etc/sssd',
  ),
  ...rows('it decides whom the guest trusts', undefined, '/etc/pki /etc/ssl'),
  ...rows(
    'this agent, services and the boot are configured there',
    'startup',
    '/etc/immutafs /etc/lvm /etc/selinux /etc/sysconfig',
  ),
  ...rows(
    'the package manager runs programs from it',
    'startup',
    '/etc/apt /etc/dnf /etc/dpkg /etc/rpm /etc/yum /etc/yum.conf /etc/yum.repos.d',
  ),
  ...rows(
    'a service that runs as root starts programs from it',
    'startup',
    `/etc/aliases /etc/audisp /etc/audit /etc/containers /etc/dbus-1 /etc/inetd.conf /etc/logrotate.conf
     /etc/logrotate.d /etc/rsyslog.conf /etc/rsyslog.d /etc/snmp /etc/xinetd.d`,
  ),
];
