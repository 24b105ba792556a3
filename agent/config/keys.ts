import { isUtf8 } from 'node:buffer';

/** The values that count: from the file where they are good, else the defaults. */
export interface Config {
  MODE: string;
  VAR_SIZE: string;
  VAR_INODES: string;
  VAR_OPTIONS: string;
  ON_FAILURE: string;
  ON_IMPOSTOR: string;
  REQUIRE_READONLY: string;
  REQUIRE_OPTIONS: string;
  USAGE_WARN: string;
  USAGE_FAIL: string;
  PROMETHEUS_FILE: string;
  FORWARD: string;
  FORWARD_CA: string;
  FORWARD_CERT: string;
  FORWARD_KEY: string;
  FORWARD_PEER: string;
}

export interface Key {
  /** For the manual. */
  meaning: string;
  /** When a change begins to count: at the next boot, or at the next check or start of the forwarder. */
  from: 'boot' | 'check';
  initial: string;
  /** What is good, in words, for the problem's text. */
  wanted: string;
  good: (value: string) => boolean;
}

/** A path that is no UTF-8 would be looked for under another name. */
const isText = (value: string) => isUtf8(Buffer.from(value, 'latin1'));
const absolutePath = (value: string) => value === '' || (/^\/[^\0]*$/.test(value) && isText(value));
const percent = (value: string) => /^[1-9][0-9]?%$|^100%$/.test(value);
const forwardUrl =
  /^(relp|relp\+tls|syslog\+tcp|syslog\+tls|syslog\+udp|journal\+http|journal\+https):\/\/[^\s/]+\/?$/;
const mountOption = /^(nosuid|nodev|noexec|noatime|relatime)$/;
const number = /^[1-9][0-9]{0,8}$/;

/** In the order of the manual. */
export const keys: Record<keyof Config, Key> = {
  MODE: {
    meaning:
      "How the mode of a boot is decided. auto: sealed if the host made the disk under / read-only, else maintenance, where /var is the disk's own so that updates persist. sealed: always an overlay on /var, though a writable disk is then kept read-only by nothing but the guest. off: never. The kernel argument immutafs=auto|sealed|off wins over it.",
    from: 'boot',
    initial: 'auto',
    wanted: 'auto, sealed or off',
    good: (v) => /^(auto|sealed|off)$/.test(v),
  },
  VAR_SIZE: {
    meaning: 'How much memory the upper layer of /var may take.',
    from: 'boot',
    initial: '25%',
    wanted: '1% to 100%, or a number with m or g',
    good: isSize,
  },
  VAR_INODES: {
    meaning: 'How many files the upper layer of /var may hold.',
    from: 'boot',
    initial: '200k',
    wanted: 'a number from 1000, k or m may follow',
    good: isInodes,
  },
  VAR_OPTIONS: {
    meaning: 'Mount options of the overlay on /var, with commas between them.',
    from: 'boot',
    initial: 'nosuid,nodev',
    wanted: 'of nosuid, nodev, noexec, noatime, relatime',
    good: (v) => v === '' || v.split(',').every((word) => mountOption.test(word)),
  },
  ON_FAILURE: {
    meaning:
      'What a sealed boot does if /var cannot be assembled. degraded: goes on without it; /var is read-only then, and empty where what is on the disk cannot be read; where the device that fstab has for /var is not there at all, systemd itself ends in an emergency shell. emergency: stops in an emergency shell. poweroff: powers off.',
    from: 'boot',
    initial: 'degraded',
    wanted: 'degraded, emergency or poweroff',
    good: (v) => /^(degraded|emergency|poweroff)$/.test(v),
  },
  ON_IMPOSTOR: {
    meaning:
      'What the initramfs does if the system is mounted from a disk that carries the identity (UUID, label, volume group, array) of one that the host made read-only, and is not it: an impostor, which root of an earlier boot may have written. poweroff: powers off. emergency: stops in an emergency shell, and powers off when that ends. Read from the copy of this file in the initramfs, since the mounted one may be the impostor’s: a change takes effect with the next initramfs. The kernel argument immutafs=off boots without the check.',
    from: 'boot',
    initial: 'poweroff',
    wanted: 'poweroff or emergency',
    good: (v) => /^(poweroff|emergency)$/.test(v),
  },
  REQUIRE_READONLY: {
    meaning: 'What must be read-only. A path that is not there is skipped.',
    from: 'check',
    initial: '/ /boot',
    wanted: 'absolute paths, a space between them',
    good: (v) => isText(v) && words(v).every((word) => word.startsWith('/')),
  },
  REQUIRE_OPTIONS: {
    meaning:
      'The mount options that must be there, and on whatever is mounted below the path and can be written to. A path that is not there is skipped.',
    from: 'check',
    initial: '/home:noexec,nosuid,nodev /tmp:noexec,nosuid,nodev',
    wanted: 'path:option,option with options of noexec, nosuid, nodev, ro, a space between them',
    good: (v) =>
      isText(v) &&
      words(v).every((word) => /^\/[^:]*:(noexec|nosuid|nodev|ro)(,(noexec|nosuid|nodev|ro))*$/.test(word)),
  },
  USAGE_WARN: {
    meaning:
      'How full the upper layer of /var may get, in bytes or in inodes, before the check var-usage warns.',
    from: 'check',
    initial: '80%',
    wanted: '1% to 100%',
    good: percent,
  },
  USAGE_FAIL: {
    meaning: 'How full it may get before that check fails.',
    from: 'check',
    initial: '95%',
    wanted: '1% to 100%',
    good: percent,
  },
  PROMETHEUS_FILE: {
    meaning:
      "A file that immutafs-check.timer keeps up to date for node_exporter's textfile collector, in its folder and with the ending .prom. The folder must exist; it may belong to another user. A symbolic link on the path is followed only where root owns the link and the folder that holds the link, and no other user can replace the link; any other link is an error, and the file is not written. Empty: none.",
    from: 'check',
    initial: '',
    wanted: 'an absolute path that ends in .prom',
    good: (v) => v === '' || /^\/.*[^/]\.prom$/.test(v),
  },
  FORWARD: {
    meaning:
      'Where the journal goes. Acknowledged by the server: relp, relp+tls, journal+http, journal+https. Best effort: syslog+tcp, syslog+tls, syslog+udp. Empty: nowhere, and what was logged is gone at the next boot.',
    from: 'check',
    initial: '',
    wanted:
      'relp://, relp+tls://, syslog+tcp://, syslog+tls://, syslog+udp://, journal+http:// or journal+https:// and host:port',
    good: (v) => words(v).every((word) => forwardUrl.test(word)),
  },
  FORWARD_CA: {
    meaning:
      "TLS: the file of the authority that signed the server's certificate. Empty: the authorities of this system. A bad value of FORWARD or FORWARD_*, or a line of the configuration that is not understood, stops the forwarder with an error.",
    from: 'check',
    initial: '',
    wanted: 'an absolute path',
    good: absolutePath,
  },
  FORWARD_CERT: {
    meaning: "TLS: the file of this guest's own certificate, if the server asks for one.",
    from: 'check',
    initial: '',
    wanted: 'an absolute path',
    good: absolutePath,
  },
  FORWARD_KEY: {
    meaning:
      'TLS: the file of its private key. The user immutafs-forward has to be able to read it, and nobody else but root.',
    from: 'check',
    initial: '',
    wanted: 'an absolute path',
    good: absolutePath,
  },
  FORWARD_PEER: {
    meaning:
      "TLS: the name that the server's certificate must have, if it is not the host of FORWARD; or the certificate's fingerprint (SHA256:AA:BB:...), with which no authority has to sign it.",
    from: 'check',
    initial: '',
    wanted: 'a name, or SHA256: or SHA1: and a fingerprint',
    good: isPeer,
  },
};

/** Of a certificate: "SHA256:AA:BB…" or "SHA1:AA:BB…" (rsyslog's form); the colons between the bytes may be missing. */
export function isFingerprint(peer: string): boolean {
  return /^(sha-?256[:=]([0-9a-f]{2}:?){32}|sha-?1[:=]([0-9a-f]{2}:?){20})$/i.test(peer);
}

/** A fingerprint that is cut short would else be taken for a name. */
function isPeer(value: string): boolean {
  return /^sha-?[0-9]*[:=]/i.test(value) ? isFingerprint(value) : /^[^\s\0]*$/.test(value) && isText(value);
}

/** The words of a value that is a list. */
export function words(value: string): string[] {
  return value.split(/[ \t]+/).filter((word) => word !== '');
}

/** tmpfs(5) size=; a unit is asked for, since a forgotten one would mean bytes. */
function isSize(value: string): boolean {
  return percent(value) || (/[mMgG]$/.test(value) && number.test(value.slice(0, -1)));
}

/** tmpfs(5) nr_inodes= */
function isInodes(value: string): boolean {
  return /[kKmM]$/.test(value)
    ? number.test(value.slice(0, -1))
    : number.test(value) && Number(value) >= 1000;
}
