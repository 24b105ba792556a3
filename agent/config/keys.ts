import { isUtf8 } from 'node:buffer';
import { errorMessage } from '../lib/errors.ts';
import {
  type BootKey,
  type Rule,
  type agentKeys,
  bootKeys,
  enumerate,
  isPathWithOptions,
  listOf,
  mountOptions,
  oneOf,
  overlayOptions,
  pathOf,
  pathsWith,
  percent,
  persistOptions,
  restrictions,
  strictItems,
  words,
} from './boot-keys.ts';
import { parseTargets } from './forward-target.ts';

export { bootKeys, itemOptions, pathOf, strictItems, words } from './boot-keys.ts';

export interface Key extends Rule {
  /** The text in the manual page. */
  meaning: string;
  /** The comment in packaging/immutafs.conf. */
  comment: string;
  /**
   * When a change takes effect: at the next boot, with the next initramfs, or at the next check and the next start of the
   * forwarder.
   */
  from: 'boot' | 'initramfs' | 'check';
}

/** Whether a value is UTF-8. A path that is not UTF-8 would be opened under a different name. */
const isText = (value: string) => isUtf8(Buffer.from(value, 'latin1'));
const tlsFile = {
  ...{ from: 'check' as const, initial: '', wanted: 'an absolute path' },
  good: (value: string) => value === '' || (/^\/[^\0]*$/.test(value) && isText(value)),
};
const usage = (initial: string) => ({
  ...{ from: 'check' as const, initial, wanted: '1% to 100%', good: percent, strictest: '1%' },
});
const dataOptions = ['exec', 'suid', 'dev', 'autostart'];
const requirable = [...restrictions, 'ro'];
const strictPaths = enumerate(
  strictItems.map((item) => pathOf(item)),
  'and',
);

const table = {
  MODE: {
    ...bootKeys.MODE,
    meaning:
      'The mode of a boot. auto: sealed if the host made the disk under / read-only; otherwise maintenance, where /var is on the disk, so that updates persist. sealed: always an overlay on /var; if the disk is writable, only the guest itself keeps it read-only, and the verdict is unenforced, with exit code 4. off: no overlay. The kernel argument immutafs=auto|sealed|off overrides this key.',
    comment:
      'auto: sealed if the host made the disk under / read-only, otherwise maintenance (/var is on the disk). sealed: always an overlay on /var. off: no overlay. The kernel argument immutafs=auto|sealed|off overrides this key.',
    from: 'boot',
  },
  VAR_SIZE: {
    ...bootKeys.VAR_SIZE,
    meaning: 'The maximum size of the upper layer of /var in memory.',
    comment:
      'The maximum size of the upper layer of /var in memory: 1% to 100%, or a number followed by m or g.',
    from: 'boot',
  },
  VAR_INODES: {
    ...bootKeys.VAR_INODES,
    meaning: 'The maximum number of files (inodes) in the upper layer of /var.',
    comment:
      'The maximum number of files (inodes) in the upper layer of /var: a number of at least 1000, optionally followed by k or m.',
    from: 'boot',
  },
  VAR_OPTIONS: {
    ...bootKeys.VAR_OPTIONS,
    meaning: 'Mount options of the overlay on /var, separated by commas.',
    comment: `Mount options of /var: any of ${mountOptions.join(', ')}, separated by commas.`,
    from: 'boot',
  },
  OVERLAY: {
    ...bootKeys.OVERLAY,
    meaning:
      'Directories of the system disk, besides /var, that are writable in a sealed boot: each gets an overlay whose upper layer shares the tmpfs and the limits of /var, so that changes are discarded at every reboot. After a colon follow options of the overlay, separated by commas: noexec, noatime, relatime, and suid and dev, which take back the defaults nosuid and nodev. Example: /opt/agent:noexec /root. /, /usr, /boot, /dev, /proc, /sys, /run and everything below /boot, /dev, /proc, /sys and /run are refused, as are /var and everything below it, which are writable without this key. An overlay on /etc is permitted; what root writes there takes effect until the reboot.',
    comment: `Further directories of the system disk that are writable in a sealed boot and are reset at every reboot, each as PATH or PATH:OPTION,OPTION with any of ${overlayOptions.join(', ')}. Example: /opt/agent:noexec /root`,
    from: 'boot',
  },
  PERSIST: {
    ...bootKeys.PERSIST,
    meaning:
      'Directories that are kept across reboots: each is a directory of PERSIST_STORE, mounted over its path. At its first use, the content of the system disk is copied into the store. The mounts have nosuid, nodev and noexec. After a colon follow options, separated by commas: exec, suid and dev take these defaults back; autostart permits a path that is not known to be data, which is refused otherwise: programs may be started from it, or it may grant access (/etc, /opt, /usr, /home, /var/spool/cron, /var/lib/sss, the package databases and the like; docs/writable-paths.md). Root in a sealed boot can write there what runs as root in later boots, so a path with autostart is mounted in sealed boots only: in maintenance, when the disk is writable, and in a rehearsal, the content of the disk is visible there. maintenance mounts it in these boots, too; what was written there can then change the system disk permanently. Example: /var/lib/pgsql /var/spool/cron:autostart.',
    comment: `Directories that are kept across reboots, each as PATH or PATH:OPTION,OPTION with any of ${persistOptions.join(', ')}. Example: /var/lib/pgsql /var/spool/cron:autostart`,
    from: 'boot',
  },
  PERSIST_STORE: {
    ...bootKeys.PERSIST_STORE,
    meaning:
      'The directory that holds the content of PERSIST. It must be on a disk that the host leaves writable, belong to root and have the mode 0700. Empty: nothing is kept.',
    comment:
      'The directory on a writable data disk that holds the content of PERSIST. It belongs to root and has the mode 0700.',
    from: 'boot',
  },
  SCRATCH: {
    ...bootKeys.SCRATCH,
    meaning:
      'Directories that are on SCRATCH_DEVICE in a sealed boot and not in memory. Their content is discarded at every reboot. Each is an overlay over the directory of the system disk, with nosuid, nodev and noexec. After a colon follow options, separated by commas: exec, suid and dev take these defaults back; empty begins with an empty directory without an overlay (/var/lib/containers); copy begins with a copy of the directory of the system disk; required makes the path read-only if the device cannot be used, where it would otherwise be in memory, with the limits of /var. Example: /var/cache/app /var/lib/containers:empty,exec,suid,dev.',
    comment:
      'Directories on SCRATCH_DEVICE, each as PATH or PATH:OPTION,OPTION with any of exec, suid, dev, required, and empty or copy. Their content is discarded at every reboot. Example: /var/cache/app /var/lib/containers:empty,exec,suid,dev',
    from: 'boot',
  },
  SCRATCH_DEVICE: {
    ...bootKeys.SCRATCH_DEVICE,
    meaning:
      'The disk or partition for SCRATCH. Every sealed boot opens it with dm-crypt and a random key, which is only in memory, and makes a new file system on it. Only a device that prepare --scratch-device has marked for this guest is used. Empty: the paths of SCRATCH are in memory.',
    comment:
      'The disk or partition for SCRATCH, a link in /dev/disk/by-id/. Every sealed boot formats it, with a new random key. Mark it with: immutafs-agent prepare --apply --only scratch --scratch-device /dev/vdX',
    from: 'boot',
  },
  MOUNT_OPTIONS: {
    ...bootKeys.MOUNT_OPTIONS,
    meaning: `Mount options that a sealed boot adds before services start, each as path:option,option with options of noexec, nosuid, nodev. A path that is not a mount point is first bound to itself. A path with a symbolic link in it gets no options; name the directory itself. /run/user/* stands for the directory of each user who logs in. On RHEL 7, these directories then share one tmpfs, limited to 10% of the memory for all users together, and logind runs without CAP_SYS_ADMIN: it logs an error at each logout, graphical sessions that receive their graphics device from logind (Wayland) do not start, and RemoveIPC= does not remove System V IPC objects. The item strict stands for noexec, nosuid and nodev on ${strictPaths} (device files remain usable on /dev): then no file system is both writable and executable, unless another is mounted. The check mount-options verifies the result. Empty: no options are added.`,
    comment: `Mount options that a sealed boot adds: path:option,option with any of ${restrictions.join(', ')}. A path that is not a mount point is bound to itself. The item strict stands for all options on ${strictPaths}, so that no file system is both writable and executable.`,
    from: 'boot',
  },
  SEED: {
    ...bootKeys.SEED,
    meaning:
      'What cloud-init may configure a sealed guest from. none: from nothing; the units of cloud-init are masked. host: from a seed (data source NoCloud) on the one device with the label cidata that the host made read-only: a CD-ROM drive of the hypervisor, or a disk by the same evidence as the system disk. A seed on any other device is not read, and if several devices are acceptable, none is used. No other data source is searched. What cloud-init writes to /etc is on an overlay in RAM, which becomes read-only when cloud-init has finished, also if OVERLAY names /etc. In maintenance mode and with the mode off, cloud-init is masked, so that the disk does not get the identity of one guest. Without cloud-init, the boot itself writes host name, SSH host keys and network files from the directory immutafs of the seed to /etc (docs/images.md). The check seed-genuine verifies the result.',
    comment:
      'What cloud-init may configure a sealed guest from. none: nothing. host: a seed on a device that the host made read-only.',
    from: 'boot',
  },
  SEED_TIMEOUT: {
    ...bootKeys.SEED_TIMEOUT,
    meaning:
      'How long a sealed boot with SEED=host waits for the seed, in seconds: until a device with an acceptable seed exists, and until udev has processed every device that could have one, so that a second seed is noticed. Without a seed, the boot waits this long before the network starts.',
    comment:
      'How long a sealed boot with SEED=host waits for the seed and for all devices, in seconds: 1 to 300.',
    from: 'boot',
  },
  IDENTITY: {
    ...bootKeys.IDENTITY,
    meaning:
      'Whether this guest requests a certificate in sealed boots. none: no. host: after the check at boot, immutafs-identity.service makes a key in /run/immutafs/identity and sends its public part to the host over the virtio-serial port org.immutafs.identity. A host with immutafs-identity certifies only a sealed guest, for some hours. The service verifies the certificate and the statement of the host against IDENTITY_CA, writes cert.pem, key.pem, ca.pem and statement.jwt, and renews them. No other service waits for it. See docs/identity.md.',
    comment:
      'Whether this guest requests a certificate from its host in sealed boots: none or host (over the virtio-serial port org.immutafs.identity).',
    from: 'boot',
  },
  IDENTITY_CA: {
    meaning:
      'The file with the certificates of the authorities that may certify this guest, or its host: a file of the sealed disk. Without it, no certificate is accepted.',
    comment:
      'The file with the certificates of the authorities that may certify this guest, or its host: a file of the sealed disk.',
    ...tlsFile,
  },
  ON_FAILURE: {
    ...bootKeys.ON_FAILURE,
    meaning:
      'What a sealed boot does if /var cannot be assembled. degraded: the boot continues, and /var is read-only, or empty if the file system on the disk cannot be read; if the device of /var in fstab does not exist, systemd itself stops in an emergency shell. emergency: the boot stops in an emergency shell. poweroff: the guest powers off.',
    comment:
      'What a sealed boot does if /var cannot be assembled: degraded (continue without it), emergency (a shell) or poweroff.',
    from: 'boot',
  },
  ON_IMPOSTOR: {
    ...bootKeys.ON_IMPOSTOR,
    meaning:
      'What the initramfs does if the root file system is mounted from an impostor: a disk that carries the identity (UUID, label, volume group, array) of the disk that the host made read-only, and is another disk. Root may have written it in an earlier boot. Does the same if the root file system is on a disk that the host left writable and udev is still busy after 180 seconds, because another disk may then be the sealed one. poweroff: the guest powers off. emergency: the boot stops in an emergency shell, and the guest powers off when the shell ends. The value comes from the copy of this file in the initramfs, since the mounted file may be the impostor’s. The kernel argument immutafs=off boots without the check.',
    comment:
      "What the initramfs does if the root file system is mounted from a disk that poses as the disk that the host made read-only: poweroff or emergency (a shell). Takes effect with the next initramfs, which contains a copy of this file, because the mounted file may be the impostor's.",
    from: 'initramfs',
  },
  REQUIRE_READONLY: {
    meaning: 'Paths that must be read-only. A path that does not exist is skipped.',
    comment: 'Paths that must be read-only, separated by spaces. A path that does not exist is skipped.',
    from: 'check',
    initial: '/ /boot',
    wanted: 'absolute paths, a space between them',
    good: (v) => isText(v) && words(v).every((word) => word.startsWith('/')),
    strictest: (v) => pathsIn(`${v} / /boot`).join(' '),
  },
  REQUIRE_OPTIONS: {
    meaning:
      'Mount options that each path, and each writable file system mounted below it, must have. A path that does not exist is skipped.',
    comment: 'Required mount options: path:option,option with any of noexec, nosuid, nodev, ro.',
    from: 'check',
    initial: '/home:noexec,nosuid,nodev /tmp:noexec,nosuid,nodev',
    wanted: 'path:option,option with options of noexec, nosuid, nodev, ro, a space between them',
    good: (v) => isText(v) && words(v).every(isRequirement),
    strictest: (v) =>
      pathsIn(`${v} /home:${restrictions.join()} /tmp:${restrictions.join()}`)
        .map((word) => (isRequirement(word) ? word : `${pathOf(word)}:${requirable.join()}`))
        .join(' '),
    words: requirable,
  },
  DATA: {
    meaning:
      'Mount points of file systems that are data although the host leaves their disks writable, for the check persistent-mounts: each permits the mounts at and below its path. A line of fstab with noexec, nosuid and nodev needs no item. After a colon follow options, separated by commas: exec, suid and dev permit a mount without noexec, nosuid and nodev; autostart permits a path from which programs start by themselves (/var/lib/docker, /var/spool/cron and the like; docs/writable-paths.md). What runs from such a path may have been written by root in an earlier boot, and it also runs in maintenance. The directories with the programs of the system (/usr, /opt, /root, /boot, /etc and everything below) are never data; for a directory below /opt that must be kept, use PERSIST. Example: /srv/app:exec /mnt/backup.',
    comment: `Mount points of file systems that are data although fstab does not mount them with noexec, nosuid and nodev, each as PATH or PATH:OPTION,OPTION with any of ${dataOptions.join(', ')}. Example: /srv/app:exec`,
    from: 'check',
    initial: '',
    ...pathsWith(dataOptions),
    // Every path would be data.
    ...listOf((item) => pathOf(item) !== '/' && isPathWithOptions(item, dataOptions)),
  },
  FOREIGN_PROGRAMS: {
    meaning:
      'What the check foreign-programs does if a process runs a program, or has mapped a library, that did not come from a disk that the host made read-only. warn: the check warns, and the verdict does not change. fail: the check is required. off: processes are not examined.',
    comment:
      'If a process runs a program or a library that did not come from a disk that the host made read-only: warn, fail (the verdict of `status` becomes failed) or off (processes are not examined).',
    from: 'check',
    initial: 'warn',
    ...oneOf('warn', 'fail', 'off'),
    strictest: 'fail',
  },
  FOREIGN_PROGRAMS_ALLOW: {
    meaning:
      'Files and directories outside the sealed disk from which programs may run, for the check foreign-programs: a file, or everything below a directory. A deleted file and a file of another mount namespace are not covered, because such a file can have any path. /memfd:NAME covers files in memory with this name, which the process itself chooses. Example: /home/app/bin /memfd:libffi.',
    comment:
      'Files and directories outside the sealed disk from which programs may run, separated by spaces. /memfd:NAME stands for files in memory with this name. Example: /home/app/bin /memfd:libffi',
    from: 'check',
    initial: '',
    wanted: 'an absolute path',
    ...listOf(isAllowedProgram),
  },
  USAGE_WARN: {
    meaning:
      'The usage of the upper layer of /var, in bytes or in inodes, at which the check var-usage warns.',
    comment: 'The usage of the upper layer of /var, in bytes or inodes, at which the check warns.',
    ...usage('80%'),
  },
  USAGE_FAIL: {
    meaning: 'The usage at which the check var-usage fails.',
    comment: 'The usage at which the check fails.',
    ...usage('95%'),
  },
  PROMETHEUS_FILE: {
    meaning:
      "A file that immutafs-check.timer updates for node_exporter's textfile collector, in the collector's directory and with the suffix .prom. The directory must exist; it may belong to another user. A symbolic link on the path is followed only if root owns the link and the directory that holds it, and no other user can replace the link; with any other link the file is not written, and the check logs a warning. Empty: no file.",
    comment:
      'A file that immutafs-check.timer updates for node_exporter: a path in the directory of its textfile collector, with the suffix .prom. The directory may belong to another user. If the path has a symbolic link that a user other than root can replace, the file is not written, and the check logs a warning. Empty: no file.',
    from: 'check',
    initial: '',
    wanted: 'an absolute path that ends in .prom',
    good: (v) => v === '' || /^\/.*[^/]\.prom$/.test(v),
  },
  FORWARD: {
    meaning:
      'The log servers that receive the journal. With acknowledgement: relp, relp+tls, journal+http, journal+https. Best effort: syslog+tcp, syslog+tls, syslog+udp. The port may be omitted, except with RELP, which has no registered port: 601 (syslog+tcp), 6514 (syslog+tls), 514 (syslog+udp), 19532 (journal+http, journal+https). Empty: the journal is not forwarded and is lost at the next boot.',
    comment:
      'The log server that receives the journal, as PROTOCOL://HOST:PORT. With acknowledgement: relp, relp+tls, journal+http, journal+https. Best effort: syslog+tcp, syslog+tls, syslog+udp. Empty: the journal is lost at the next boot.',
    from: 'check',
    initial: '',
    wanted:
      'relp://, relp+tls://, syslog+tcp://, syslog+tls://, syslog+udp://, journal+http:// or journal+https:// and host:port',
    good: (v) => whyNoTargets(v) === '',
    why: whyNoTargets,
  },
  FORWARD_FILES: {
    meaning:
      'The log files that are forwarded together with the journal, because they are not in it. *, ? and […] match within a name; ** is not supported. A pattern leaves out directories, FIFOs, links and whatever else is no regular file; a path without a pattern must be a regular file. Files that rotation renames or copies are followed; compressed files (.gz, .xz, .bz2, .zst, .lz4, .Z) are left out. The user immutafs-forward must be able to read the files; the step audit of prepare permits it for the audit trail. Empty: only the journal.',
    comment:
      'The log files that are forwarded together with the journal, because they are not in it: absolute paths, in which *, ? and [...] match within a name, and leave out what is no regular file. The user immutafs-forward must be able to read them; for the audit trail, the step audit of `immutafs-agent prepare` permits it. Empty: only the journal.',
    from: 'check',
    initial: '/var/log/audit/audit.log',
    wanted: 'absolute paths without .. and **, a space between them',
    good: (v) =>
      isText(v) && words(v).every((word) => /^\/[^\0]*[^/\0]$/.test(word) && !/\*\*|\/\.\.(\/|$)/.test(word)),
  },
  FORWARD_STATE: {
    meaning:
      'The directory in which the forwarder remembers what the server has acknowledged. With the default, forwarding begins in each boot with its first entry. With a directory on a data disk that stays writable, a journal and log files that are kept on data disks are continued after a reboot. The directory must exist and belong to the user immutafs-forward; with SELinux, the boot sets its label. Letters, digits and . _ / + @ : - are allowed.',
    comment:
      'The directory in which the forwarder remembers what the server has acknowledged. On a data disk that stays writable, a journal and log files that are kept on data disks are continued after a reboot. It must belong to immutafs-forward.',
    from: 'boot',
    initial: '/run/immutafs/forward',
    wanted: 'an absolute path of letters, digits and . _ / + @ : -',
    good: (v) => /^(\/[A-Za-z0-9._+@:-]+)+$/.test(v) && !/\/\.\.?(\/|$)/.test(v),
  },
  FORWARD_CA: {
    meaning:
      "TLS: the file with the certificate of the authority that signed the server's certificate. Empty: the authorities of this system. An invalid value of FORWARD or FORWARD_*, or a line that may have been meant for one of them, stops the forwarder with an error.",
    comment:
      "TLS: the file with the certificate of the authority that signed the server's certificate. Empty: the authorities of this system. An invalid value of FORWARD or FORWARD_*, or a line that may have been meant for one of them, stops the forwarder with an error.",
    ...tlsFile,
  },
  FORWARD_CERT: {
    meaning:
      "TLS: the file with this guest's certificate, if the server requires one. identity: the certificate and the key of IDENTITY=host; FORWARD_KEY is then empty, and the forwarder waits until there is a certificate.",
    comment:
      "TLS: the file with this guest's certificate, if the server requires one; or identity: that of IDENTITY=host, with its key.",
    ...tlsFile,
    wanted: 'an absolute path, or identity',
    good: (value) => value === 'identity' || tlsFile.good(value),
  },
  FORWARD_KEY: {
    meaning:
      'TLS: the file with the private key of FORWARD_CERT. Only root and the user immutafs-forward may read it.',
    comment:
      'TLS: the file with the private key of FORWARD_CERT. Only root and the user immutafs-forward may read it.',
    ...tlsFile,
  },
  FORWARD_PEER: {
    meaning:
      "TLS: the name in the server's certificate, if it is not the host of FORWARD; or the certificate's fingerprint (SHA256:AA:BB:...), which needs no authority.",
    comment:
      "TLS: the name in the server's certificate, if it is not the host of FORWARD; or its fingerprint: SHA256:AA:BB:...",
    from: 'check',
    initial: '',
    wanted: 'a name, or SHA256: or SHA1: and a fingerprint',
    good: isPeer,
  },
  SESSION: {
    meaning:
      'Whether the command session of immutafs-agent may start sessions with temporary tools in a sealed boot. off: it refuses. This does not confine root, who can do without this command what a session does (docs/session.md).',
    comment:
      'Whether root may start sessions with temporary tools in a sealed boot (immutafs-agent session): on or off.',
    from: 'check',
    initial: 'on',
    ...oneOf('on', 'off'),
    strictest: 'off',
  },
} satisfies Record<BootKey | (typeof agentKeys)[number], Key>;

/** The effective configuration. Each value is the value in the file if it is valid, else the default. */
export type Config = Record<keyof typeof table, string>;

/** The keys, in the order of the manual page. */
export const keys: Record<keyof Config, Key> = table;

/**
 * Whether the value is a certificate's fingerprint, "SHA256:AA:BB…" or "SHA1:AA:BB…" (rsyslog's form), with or without
 * colons between the bytes.
 */
export function isFingerprint(peer: string): boolean {
  return /^(sha-?256[:=]([0-9a-f]{2}:?){32}|sha-?1[:=]([0-9a-f]{2}:?){20})$/i.test(peer);
}

/** Whether the value is a fingerprint or a name. A truncated fingerprint is not accepted as a name. */
function isPeer(value: string): boolean {
  return /^sha-?[0-9]*[:=]/i.test(value) ? isFingerprint(value) : /^[^\s\0]*$/.test(value) && isText(value);
}

function isAllowedProgram(value: string): boolean {
  return /^\/[!-~]+$/.test(value);
}

/** Returns why a value of FORWARD is invalid; the empty string for a valid one. */
function whyNoTargets(value: string): string {
  try {
    parseTargets(value);
    return '';
  } catch (error) {
    return errorMessage(error);
  }
}

/** Whether the value is an item of REQUIRE_OPTIONS. */
function isRequirement(item: string): boolean {
  const [, options] = /^\/[^:]*:(.*)$/.exec(item) ?? [];
  return options !== undefined && options.split(',').every((each) => requirable.includes(each));
}

/** Returns the words of an invalid value that begin with a path. */
function pathsIn(value: string): string[] {
  return [...new Set(words(value))].filter((word) => word.startsWith('/') && isText(word));
}
