import { isUtf8 } from 'node:buffer';
import { errorMessage } from '../lib/errors.ts';
import {
  type BootKey,
  type Rule,
  type agentKeys,
  bootKeys,
  isPathWithOptions,
  listOf,
  oneOf,
  pathOf,
  pathsWith,
  percent,
  restrictions,
  words,
} from './boot-keys.ts';
import { parseTargets } from './forward-target.ts';

export { bootKeys, itemOptions, pathOf, strictItems, words } from './boot-keys.ts';

export interface Key extends Rule {
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

const table = {
  MODE: { ...bootKeys.MODE, from: 'boot' },
  VAR_SIZE: { ...bootKeys.VAR_SIZE, from: 'boot' },
  VAR_INODES: { ...bootKeys.VAR_INODES, from: 'boot' },
  VAR_OPTIONS: { ...bootKeys.VAR_OPTIONS, from: 'boot' },
  OVERLAY: { ...bootKeys.OVERLAY, from: 'boot' },
  PERSIST: { ...bootKeys.PERSIST, from: 'boot' },
  PERSIST_STORE: { ...bootKeys.PERSIST_STORE, from: 'boot' },
  SCRATCH: { ...bootKeys.SCRATCH, from: 'boot' },
  SCRATCH_DEVICE: { ...bootKeys.SCRATCH_DEVICE, from: 'boot' },
  MOUNT_OPTIONS: { ...bootKeys.MOUNT_OPTIONS, from: 'boot' },
  SEED: { ...bootKeys.SEED, from: 'boot' },
  SEED_TIMEOUT: { ...bootKeys.SEED_TIMEOUT, from: 'boot' },
  IDENTITY: { ...bootKeys.IDENTITY, from: 'boot' },
  IDENTITY_CA: tlsFile,
  ON_FAILURE: { ...bootKeys.ON_FAILURE, from: 'boot' },
  ON_IMPOSTOR: { ...bootKeys.ON_IMPOSTOR, from: 'initramfs' },
  REQUIRE_READONLY: {
    from: 'check',
    initial: '/ /boot',
    wanted: 'absolute paths, a space between them',
    good: (v) => isText(v) && words(v).every((word) => word.startsWith('/')),
    strictest: (v) => pathsIn(`${v} / /boot`).join(' '),
  },
  REQUIRE_OPTIONS: {
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
    from: 'check',
    initial: '',
    ...pathsWith(dataOptions),
    // Every path would be data.
    ...listOf((item) => pathOf(item) !== '/' && isPathWithOptions(item, dataOptions)),
  },
  FOREIGN_PROGRAMS: {
    from: 'check',
    initial: 'warn',
    ...oneOf('warn', 'fail', 'off'),
    strictest: 'fail',
  },
  FOREIGN_PROGRAMS_ALLOW: {
    from: 'check',
    initial: '',
    wanted: 'an absolute path',
    ...listOf(isAllowedProgram),
  },
  USAGE_WARN: { ...usage('80%') },
  USAGE_FAIL: { ...usage('95%') },
  PROMETHEUS_FILE: {
    from: 'check',
    initial: '',
    wanted: 'an absolute path that ends in .prom',
    good: (v) => v === '' || /^\/.*[^/]\.prom$/.test(v),
  },
  FORWARD: {
    from: 'check',
    initial: '',
    wanted:
      'relp://, relp+tls://, syslog+tcp://, syslog+tls://, syslog+udp://, journal+http:// or journal+https:// and host:port',
    good: (v) => whyNoTargets(v) === '',
    why: whyNoTargets,
  },
  FORWARD_FILES: {
    from: 'check',
    initial: '/var/log/audit/audit.log',
    wanted: 'absolute paths without .. and **, a space between them',
    good: (v) =>
      isText(v) && words(v).every((word) => /^\/[^\0]*[^/\0]$/.test(word) && !/\*\*|\/\.\.(\/|$)/.test(word)),
  },
  FORWARD_STATE: {
    from: 'boot',
    initial: '/run/immutafs/forward',
    wanted: 'an absolute path of letters, digits and . _ / + @ : -',
    good: (v) => /^(\/[A-Za-z0-9._+@:-]+)+$/.test(v) && !/\/\.\.?(\/|$)/.test(v),
  },
  FORWARD_CA: tlsFile,
  FORWARD_CERT: {
    ...tlsFile,
    wanted: 'an absolute path, or identity',
    good: (value) => value === 'identity' || tlsFile.good(value),
  },
  FORWARD_KEY: tlsFile,
  FORWARD_PEER: {
    from: 'check',
    initial: '',
    wanted: 'a name, or SHA256: or SHA1: and a fingerprint',
    good: isPeer,
  },
  SESSION: {
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
