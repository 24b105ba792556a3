/** The rules of the keys that the boot uses. immutafs-boot has this file. */

/** What the parser needs to know about a key. */
export interface Rule {
  initial: string;
  /** The description of valid values in messages. */
  wanted: string;
  good: (value: string) => boolean;
  /**
   * What is used for an invalid value, unless it is empty: a value that is not less strict than what may have been meant.
   * Without it, `initial` is, or the function concerned stops.
   */
  strictest?: string | ((value: string) => string);
  /** What is used if the file cannot be used; without it, `initial` is. */
  unknown?: string;
  /** For a list of which one bad item must not drop the others: whether an item is valid. */
  goodItem?: (item: string) => boolean;
  /**
   * Returns what is used for an invalid item: the valid part of it, which is not less strict than what may have been
   * meant. Undefined: the item is ignored, which is not less strict.
   */
  repair?: (item: string) => string | undefined;
  /** Why a value is invalid, if `wanted` does not say it. */
  why?: (value: string) => string;
  /** The values, if only these are valid; for a list of paths, the options of an item. */
  words?: readonly string[];
}

export const overlayOptions = ['noexec', 'noatime', 'relatime', 'suid', 'dev'];
export const persistOptions = ['exec', 'suid', 'dev', 'autostart', 'maintenance'];
export const mountOptions = ['nosuid', 'nodev', 'noexec', 'noatime', 'relatime'];
/** Paths that need no quoting in units and in mount options. */
const plainPath = /^(\/|(\/(?!\.\.?(\/|$))[A-Za-z0-9._+@-]+)+)$/;
const scratchOptions = ['exec', 'suid', 'dev', 'required', 'empty', 'copy'];
export const restrictions = ['noexec', 'nosuid', 'nodev'];
const number = /^[1-9][0-9]{0,8}$/;

export const percent = (value: string) => /^[1-9][0-9]?%$|^100%$/.test(value);

/** What the item `strict` of MOUNT_OPTIONS stands for. */
export const strictItems: readonly string[] = [
  '/dev:noexec,nosuid',
  ...['/run', '/dev/shm', '/run/user/*', '/var', '/var/tmp', '/var/log', '/tmp', '/home'].map(
    (target) => `${target}:noexec,nosuid,nodev`,
  ),
];

/** Joins words for a sentence: "a, b or c". */
export function enumerate(list: readonly string[], conjunction: 'and' | 'or'): string {
  return `${list.slice(0, -1).join(', ')} ${conjunction} ${list.at(-1)}`;
}

/** The rule of a key that has one of these values. */
export function oneOf(...values: string[]): Pick<Rule, 'wanted' | 'good' | 'words'> {
  return { wanted: enumerate(values, 'or'), good: (value) => values.includes(value), words: values };
}

/** The rule of a list of items. */
export function listOf(goodItem: (item: string) => boolean): Pick<Rule, 'good' | 'goodItem'> {
  return { good: (value) => words(value).every(goodItem), goodItem };
}

/** The rule of a list of paths, each of which may have options. */
export function pathsWith(options: readonly string[]): Pick<Rule, 'wanted' | 'good' | 'goodItem' | 'words'> {
  const wanted = `a path of letters, digits and . _ + @ -, then optionally : and any of ${options.join(', ')}`;
  return { wanted, ...listOf((item) => isPathWithOptions(item, options)), words: options };
}

const rules = {
  MODE: {
    initial: 'auto',
    ...oneOf('auto', 'sealed', 'off'),
    strictest: 'sealed',
  },
  VAR_SIZE: {
    initial: '25%',
    wanted: '1% to 100%, or a number followed by m or g',
    good: isSize,
  },
  VAR_INODES: {
    initial: '200k',
    wanted: 'a number of at least 1000, optionally followed by k or m',
    good: isInodes,
  },
  VAR_OPTIONS: {
    initial: 'nosuid,nodev',
    wanted: `one or more of ${mountOptions.join(', ')}`,
    good: (v) => v === '' || v.split(',').every((word) => mountOptions.includes(word)),
    strictest: 'nosuid,nodev,noexec',
    words: mountOptions,
  },
  OVERLAY: {
    initial: '',
    ...pathsWith(overlayOptions),
  },
  PERSIST: {
    initial: '',
    ...pathsWith(persistOptions),
    repair: (item) => withOptions(item, optionsOf(item, persistOptions)),
  },
  PERSIST_STORE: {
    initial: '',
    wanted: 'an absolute path of letters, digits and . _ + @ -',
    good: (v) => v === '' || (v !== '/' && plainPath.test(v)),
  },
  SCRATCH: {
    initial: '',
    wanted:
      'a path of letters, digits and . _ + @ -, then optionally : and any of exec, suid, dev, required, and empty or copy',
    ...listOf(isScratchItem),
    repair: repairScratchItem,
    words: scratchOptions,
  },
  SCRATCH_DEVICE: {
    initial: '',
    wanted: 'a link in /dev/disk/by-id/ that begins with virtio-, scsi-, wwn- or nvme-',
    good: (v) => v === '' || /^\/dev\/disk\/by-id\/(virtio|scsi|wwn|nvme)-[A-Za-z0-9._+@:=-]+$/.test(v),
  },
  MOUNT_OPTIONS: {
    initial: '/dev/shm:noexec,nosuid,nodev /var/tmp:noexec,nosuid,nodev /var/log:noexec,nosuid,nodev',
    wanted: 'strict, or a path of letters, digits and . _ + @ -, then : and any of noexec, nosuid, nodev',
    ...listOf(isMountOptionsItem),
    repair: repairMountOptionsItem,
    words: restrictions,
  },
  SEED: {
    initial: 'none',
    ...oneOf('none', 'host'),
  },
  SEED_TIMEOUT: {
    initial: '180',
    wanted: 'a number of seconds from 1 to 300',
    good: (v) => number.test(v) && Number(v) <= 300,
  },
  IDENTITY: {
    initial: 'none',
    ...oneOf('none', 'host'),
  },
  ON_FAILURE: {
    initial: 'degraded',
    ...oneOf('degraded', 'emergency', 'poweroff'),
    strictest: 'poweroff',
    unknown: 'poweroff',
  },
  ON_IMPOSTOR: {
    initial: 'poweroff',
    ...oneOf('poweroff', 'emergency'),
  },
} satisfies Record<string, Rule>;

export type BootKey = keyof typeof rules;

/** The keys whose values the boot uses. */
export const bootKeys: Record<BootKey, Rule> = rules;

/** The keys whose values only the agent verifies. */
export const agentKeys = [
  ...(['REQUIRE_READONLY', 'REQUIRE_OPTIONS', 'DATA', 'FOREIGN_PROGRAMS', 'FOREIGN_PROGRAMS_ALLOW'] as const),
  ...(['USAGE_WARN', 'USAGE_FAIL', 'PROMETHEUS_FILE', 'FORWARD', 'FORWARD_FILES', 'FORWARD_STATE'] as const),
  ...(['FORWARD_CA', 'FORWARD_CERT', 'FORWARD_KEY', 'FORWARD_PEER', 'SESSION', 'IDENTITY_CA'] as const),
];

/** Whether the value is PATH or PATH:OPTION,OPTION. @param allowed the options that are allowed */
export function isPathWithOptions(value: string, allowed: readonly string[]): boolean {
  const [, path = '', options] = /^([^:]*)(?::(.*))?$/.exec(value) ?? [];
  return plainPath.test(path) && (options?.split(',').every((each) => allowed.includes(each)) ?? true);
}

/** Returns the valid options of an invalid item of a list. */
function optionsOf(item: string, allowed: readonly string[]): string[] {
  const options = item.includes(':') ? item.slice(item.indexOf(':') + 1) : '';
  return options.split(',').filter((each) => allowed.includes(each));
}

/** Returns the path of an invalid item with these options instead; undefined if the path itself is invalid. */
function withOptions(item: string, options: readonly string[]): string | undefined {
  const path = pathOf(item);
  if (!plainPath.test(path)) return undefined;
  return options.length === 0 ? path : `${path}:${options.join()}`;
}

/** The option that is invalid may have been `required`, without which the path can be in memory. */
function repairScratchItem(item: string): string | undefined {
  const valid = optionsOf(item, scratchOptions).filter((each) => each !== 'required');
  const isBoth = valid.includes('empty') && valid.includes('copy');
  const options = isBoth ? valid.filter((each) => each !== 'empty' && each !== 'copy') : valid;
  return withOptions(item, [...options, 'required']);
}

/** An invalid option may have been any of the restrictions, and an item that is no path may have been `strict`. */
function repairMountOptionsItem(item: string): string | undefined {
  if (!item.includes('/')) return 'strict';
  const path = pathOf(item);
  if (path === '/run/user/*') return `${path}:${restrictions.join()}`;
  // Device files must remain usable.
  const options = path === '/dev' || path === '/dev/pts' ? ['noexec', 'nosuid'] : restrictions;
  return withOptions(item, options);
}

function isScratchItem(item: string): boolean {
  const options = itemOptions(item);
  return isPathWithOptions(item, scratchOptions) && !(options.includes('empty') && options.includes('copy'));
}

function isMountOptionsItem(item: string): boolean {
  if (item === 'strict') return true;
  return (
    item.includes(':') && isPathWithOptions(item.replace(/^\/run\/user\/\*:/, '/run/user:'), restrictions)
  );
}

/** Splits a list into its items. */
export function words(value: string): string[] {
  return value.split(/[ \t]+/).filter((word) => word !== '');
}

/** Returns the path of an item of OVERLAY, PERSIST or SCRATCH: PATH or PATH:OPTION,OPTION. */
export function pathOf(item: string): string {
  return item.split(':', 1)[0] ?? '';
}

/** Returns the options of such an item. */
export function itemOptions(item: string): string[] {
  return item.split(':')[1]?.split(',') ?? [];
}

/** Whether the value is valid for size= (tmpfs(5)). A unit is required, because a number without a unit means bytes. */
function isSize(value: string): boolean {
  return percent(value) || (/[mMgG]$/.test(value) && number.test(value.slice(0, -1)));
}

/** Whether the value is valid for nr_inodes= (tmpfs(5)). */
function isInodes(value: string): boolean {
  return /[kKmM]$/.test(value)
    ? number.test(value.slice(0, -1))
    : number.test(value) && Number(value) >= 1000;
}
