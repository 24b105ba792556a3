import type { KnownWriter } from './known-writer.ts';

/** The rows of the boot, the kernel, system tools and shells. The columns are explained in known-writer.ts. */
export const systemWriters: readonly KnownWriter[] = [
  {
    id: 'augenrules',
    paths: /^\/etc\/audit\/audit\.rules(\.prev)?$/,
    outcome: 'maintenance',
    advice:
      'augenrules writes this file at boot if /etc/audit/rules.d has changed. It is up to date now, and is not written again until the rules change.',
    source: 'augenrules(8)',
  },
  {
    id: 'host-name',
    paths: /^\/etc\/(hostname|machine-info|localtime|locale\.conf|vconsole\.conf)$/,
    outcome: 'maintenance',
    advice: 'hostnamectl, timedatectl and localectl write this. Configure it while the disk is writable.',
    source: 'hostnamectl(1), timedatectl(1), localectl(1)',
  },
  {
    id: 'kdump',
    paths: /^\/boot\/(initramfs|initrd).*kdump/,
    outcome: 'maintenance',
    advice:
      'kdump.service builds this image if it is missing or older than its configuration. It exists now; build it again with `kdumpctl rebuild` (RHEL 7: `kdumpctl restart`) after each change while the disk is writable.',
    source: 'kdump.conf(5), mkdumprd(8), kexec-kdump-howto.txt',
  },
  {
    id: 'boot-success',
    paths: /^\/boot\/(efi\/EFI\/[^/]+|grub2)\/grubenv/,
    outcome: 'maintenance',
    advice:
      'GRUB, grub2-set-bootflag and grub-boot-success.timer record here whether a boot succeeded. In a sealed boot the file does not change; the menu is shown according to its present content.',
    source: 'grub2-set-bootflag(1), grub-boot-success.timer',
  },
  {
    id: 'boot-loader',
    paths: /^\/boot(\/|$)/,
    outcome: 'maintenance',
    advice: 'Kernels, initramfs images and the boot loader are changed while the disk is writable.',
    source: 'dracut(8), kernel-install(8), grubby(8)',
  },
  {
    id: 'offline-update',
    paths: /^\/system-update$/,
    outcome: 'change',
    advice:
      'This link makes the next boot an offline update (PackageKit, dnf offline-upgrade), which fails on a sealed disk. Reboot once while the disk is writable, or remove the link, and disable the timers that install updates (dnf-automatic-install.timer, packagekit-offline-update.service).',
    source: 'systemd.offline-updates(7), dnf-automatic(8)',
  },
  {
    id: 'hwclock',
    paths: /^\/etc\/adjtime$/,
    outcome: 'maintenance',
    advice: 'hwclock records the drift of the hardware clock here. It can no longer be recorded.',
    source: 'hwclock(8), adjtime_config(5)',
  },
  {
    id: 'host-keys',
    paths: /^\/etc\/(ssh\/ssh_host_|rndc\.key$)/,
    outcome: 'maintenance',
    advice: 'sshd and named create their keys at the first start. They exist now (step etc).',
    source: 'sshd-keygen@.service, rndc-confgen(8)',
  },
  {
    id: 'swap-file',
    paths: /^\/(\.?swap(file)?\d*|swap\.img)$/,
    outcome: 'maintenance',
    advice:
      'The kernel cannot swap to a read-only disk. The step fstab comments the line in /etc/fstab out; use zram or a swap space on a separate disk, and remove the file.',
    source: 'swapon(8)',
  },
  {
    id: 'mtab',
    paths: /^\/etc\/mtab/,
    outcome: 'maintenance',
    advice: 'mount(8) writes this if it is a file. The step mtab makes it a link.',
    source: 'mount(8), mount.fuse(8)',
  },
  {
    id: 'shell-history',
    paths:
      /^\/root\/\.(bash_history|lesshst|viminfo|python_history|mysql_history|psql_history|sqlite_history)[^/]*$/,
    outcome: 'harmless',
    advice: 'Shells and editors record their history here. In a sealed boot it is not recorded.',
    source: 'bash(1) (HISTFILE), less(1), vim: starting.txt',
  },
  {
    id: 'user-caches',
    paths: /^\/root\/\.(cache|config|local|dbus|gnupg|ansible)(\/|$)/,
    outcome: 'harmless',
    advice: 'Interactive programs keep caches and settings here. They work without.',
    source: 'XDG Base Directory Specification',
  },
  {
    id: 'accounts',
    paths: /^\/etc\/((passwd|shadow|group|gshadow|subuid|subgid)[-+]?|\.pwd\.lock)$/,
    outcome: 'maintenance',
    advice:
      'Accounts and local passwords are changed while the disk is writable; passwd(1) fails in a sealed boot.',
    source: 'shadow(5), passwd(1)',
  },
  {
    id: 'lvm',
    paths: /^\/etc\/lvm\/(archive|backup|cache|devices)(\/|$)/,
    outcome: 'maintenance',
    advice: 'LVM keeps copies of its metadata here. LVM works without writing them (step etc).',
    source: 'lvm.conf(5) (backup, archive), vgcfgbackup(8)',
  },
  {
    id: 'multipath',
    paths: /^\/etc\/multipath(\/|$)/,
    outcome: 'maintenance',
    advice: 'multipathd records the names of devices here when it first finds them. They exist now.',
    source: 'multipath.conf(5) (bindings_file, wwids_file)',
  },
  {
    id: 'system-caches',
    paths:
      /^(\/etc\/(ld\.so\.cache|\.updated|udev\/hwdb\.bin|machine-id|aliases\.db|selinux\/[^/]+\/.*|alternatives\/.*|crypto-policies\/.*|pki\/ca-trust\/extracted\/.*|pki\/java\/cacerts|xml\/catalog)|\/usr\/lib\/(udev\/hwdb\.bin|locale\/.*|modules\/.*|fontconfig\/cache\/.*)|\/usr\/share\/(mime|icons|applications|info|glib-2\.0\/schemas)\/.*)$/,
    outcome: 'maintenance',
    advice:
      'ldconfig, systemd-update-done, udevadm hwdb, semodule, alternatives, update-ca-trust, depmod and the like write this when software is installed or configured.',
    source:
      'ldconfig(8), systemd-update-done.service(8), semodule(8), update-ca-trust(8), update-crypto-policies(8), depmod(8)',
  },
  {
    id: 'python-bytecode',
    paths: /^\/usr\/.*\/__pycache__(\/|$)|^\/usr\/.*\.py[co]$/,
    outcome: 'harmless',
    advice: 'Python, run by root, stores compiled modules beside their source. It works without.',
    source: 'PEP 3147; python(1) (-B)',
  },
  {
    id: 'package-database',
    paths: /^\/usr\/lib\/sysimage\/rpm(\/|$)/,
    outcome: 'maintenance',
    advice: 'rpm writes its lock and its database here, also for queries. Queries work in a sealed boot.',
    source: 'rpm(8) (--dbpath); RHEL 10',
  },
  {
    id: 'immutafs',
    paths: /^(\/etc\/immutafs|\/usr\/lib(64)?\/immutafs-agent|\/usr\/libexec\/immutafs)(\/|$)/,
    outcome: 'harmless',
    advice: 'The configuration and the files of immutafs-agent.',
    source: 'immutafs-agent(8)',
  },
];
