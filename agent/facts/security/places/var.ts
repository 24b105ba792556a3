import { type Place, rows } from './place.ts';

/**
 * The directories whose content is data by default. In the directory of a service, a service reads its own files with its
 * own rights; the exceptions in `varPlaces` are read by root, or grant access to the guest. Other directories at the top,
 * in /var and in /etc are not known: they need the option autostart.
 */
export const dataPlaces: readonly string[] = [
  ...['/data', '/srv', '/var/account', '/var/crash', '/var/games', '/var/lib', '/var/local', '/var/log'],
  ...['/var/mail', '/var/named', '/var/opt', '/var/spool', '/var/www'],
  // Exceptions from the exceptions below.
  ...[
    '/var/lib/libvirt/images',
    '/var/lib/sss/keytabs',
    '/var/lib/systemd/coredump',
    '/var/lib/systemd/timers',
  ],
  // The output and the counter of at.
  ...['/var/spool/at/.SEQ', '/var/spool/at/spool', '/var/spool/cron/atjobs/.SEQ', '/var/spool/cron/atspool'],
];

/** The exceptions in the directories that hold data: see places.ts. */
export const varPlaces: readonly Place[] = [
  ...rows('cron starts programs from it', 'cron', '/var/spool/cron /var/spool/fcron /var/spool/incron'),
  ...rows('at starts jobs from it', 'at', '/var/spool/at /var/spool/cron/atjobs'),
  ...rows(
    'the scheduler starts jobs from it',
    undefined,
    '/var/spool/pbs /var/spool/slurm /var/spool/slurmctld /var/spool/slurmd /var/spool/torque',
  ),
  ...rows('systemd starts the services of the users that it names', 'unit', '/var/lib/systemd/linger'),
  ...rows('systemd keeps the state of units and of user sessions there', undefined, '/var/lib/systemd'),
  ...rows(
    'systemd merges images from it into /usr and /etc, or starts them',
    'startup',
    '/var/lib/confexts /var/lib/extensions /var/lib/machines /var/lib/portables',
  ),
  ...rows('cloud-init starts programs from it', undefined, '/var/lib/cloud'),
  ...rows(
    'an agent of the cloud, which runs as root, starts programs from it',
    undefined,
    '/var/lib/amazon /var/lib/google /var/lib/waagent',
  ),
  ...rows(
    'containers and virtual machines start from it',
    undefined,
    `/var/lib/cni /var/lib/containerd /var/lib/containers /var/lib/crio /var/lib/docker /var/lib/etcd
     /var/lib/incus /var/lib/k0s /var/lib/kubelet /var/lib/libvirt /var/lib/lxc /var/lib/lxd /var/lib/nomad
     /var/lib/rancher`,
  ),
  ...rows(
    'the package manager runs scripts from it, and decides from it what is installed',
    undefined,
    `/var/lib/PackageKit /var/lib/apt /var/lib/dnf /var/lib/dpkg /var/lib/flatpak /var/lib/fwupd /var/lib/pacman
     /var/lib/rpm /var/lib/snapd /var/lib/yum`,
  ),
  ...rows('programs in /usr are selected from it in maintenance', 'startup', '/var/lib/alternatives'),
  ...rows('kernel modules are built and installed from it', 'startup', '/var/lib/dkms'),
  ...rows('kdump boots an initramfs from it', undefined, '/var/lib/kdump'),
  ...rows('it holds the SELinux policy', 'startup', '/var/lib/selinux'),
  ...rows('it decides who may log in or act as root', 'startup', '/var/lib/pam /var/lib/polkit-1'),
  ...rows(
    'it caches logins, groups and sudo rules, which permit a login while the servers cannot be reached',
    undefined,
    '/var/lib/sss',
  ),
  ...rows('it holds the users of Samba and the cached logins of winbind', undefined, '/var/lib/samba'),
  ...rows('it decides what fapolicyd permits to run', undefined, '/var/lib/fapolicyd'),
  ...rows('certmonger runs the commands of its requests as root', undefined, '/var/lib/certmonger'),
  ...rows('iscsid attaches the disks that it names', undefined, '/var/lib/iscsi'),
  ...rows(
    'an agent that runs as root starts programs or applies settings from it',
    undefined,
    `/srv/pillar /srv/salt /var/lib/cfengine /var/lib/cfengine3 /var/lib/chef /var/lib/insights /var/lib/pcp
     /var/lib/puppet /var/lib/salt /var/opt/BESClient /var/opt/ds_agent /var/opt/microsoft`,
  ),
];
