import { words } from '../config/config.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { type FstabEntry, inEffect } from '../facts/mounts/fstab.ts';
import { type Mount, isBelow, isMountTable } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import { addedOptions, requiredOptions } from '../facts/mounts/targets.ts';
import { type Check, judge } from './check.ts';

export const fstabConsistent: Check = {
  id: 'fstab-consistent',
  seal: true,
  messageId: '6f2fbc9228f64f5a9eacc44b80a0ad99',
  subject: '/etc/fstab',
  expected: 'compatible with a read-only disk and consistent with the mount table',
  evaluate: (facts) => {
    const { problems } = unwrap(facts.fstab);
    const lines = unwrap(facts.fstabEntries);
    const wrong = [
      ...problems.map(({ line, reason }) => `line ${line}: ${reason}`),
      ...lines.flatMap((entry) =>
        [...incompatible(facts, entry), ...mountedOtherwise(facts, entry)].map(
          (text) => `line ${entry.line}, ${entry.target}: ${text}`,
        ),
      ),
    ];
    const good = lines.length === 0 ? 'no line' : `${lines.length} lines, all consistent`;
    return judge(wrong, good, 'Fix the lines named in /etc/fstab while the disk is writable, and reboot.');
  },
};

/** Options that need a writable file system: quota options (ext4(5), xfs(5)) and x-systemd.* (systemd.mount(5)). */
export const needsWritable =
  /^((usr|grp|prj)j?quota(=.*)?|[ugp]?quota|[ugp]qnoenforce|jqfmt=.*|x-systemd\.(growfs|makefs))$/;

function incompatible(facts: AssessedFacts, entry: FstabEntry): string[] {
  const { target, type, options, pass } = entry;
  if (!target.startsWith('/') || type === 'swap' || !isOnReadOnly(facts, entry)) return [];
  const hasNoChecker = ['xfs', 'btrfs'].includes(type);
  return [
    ...(isBelow(target, '/var') || inEffect(options, 'ro', 'rw') ? [] : ['option ro is missing']),
    ...(pass === 0 || hasNoChecker ? [] : [`checked at boot (last field is ${pass})`]),
    ...options.filter((option) => needsWritable.test(option)),
  ];
}

function isOnReadOnly(facts: AssessedFacts, { disks }: FstabEntry): boolean {
  return disks.some(({ readOnly }) => readOnly) || unwrap(facts.systemDisks).includes(disks);
}

function mountedOtherwise(facts: AssessedFacts, entry: FstabEntry): string[] {
  const { target, type, options } = entry;
  if (!target.startsWith('/') || type === 'swap' || options.includes('noauto')) return [];
  const mount = facts.mounts.serving(target);
  if (mount?.target !== target) return options.includes('nofail') ? [] : ['not mounted'];
  if (mount.type === 'overlay' && (isBelow(target, '/var') || isOverlay(facts, target))) return [];
  // An automount point: systemd mounts the file system at the first access.
  if (mount.type === 'autofs') return [];
  // If another mount hides the correct mount, stacked-mounts reports it.
  const sameDevice = facts.mounts.at(target).some((each) => isMountOf(entry, each));
  const has = [...mount.options, ...mount.superOptions];
  const elsewhere = requiredElsewhere(facts, target);
  const lacking = restrictions.filter(
    ([on, off]) => inEffect(options, on, off) && !has.includes(on) && !elsewhere.includes(on),
  );
  return [
    ...(entry.missing && !isBind(entry) && !options.includes('nofail')
      ? [`${entry.source} does not exist`]
      : []),
    ...(sameDevice ? [] : [`mounted from ${mount.source} (${mount.device}), not from ${entry.source}`]),
    ...(lacking.length === 0 ? [] : [`mounted without ${lacking.map(([on]) => on).join(',')}`]),
  ];
}

/** Whether the boot mounted an overlay of OVERLAY at a target. */
function isOverlay({ overlayStates }: AssessedFacts, target: string): boolean {
  return unwrap(overlayStates).some((each) => each.target === target && each.state === 'overlay');
}

/**
 * Whether a mount is from the device of a line. Any Btrfs is accepted, because a Btrfs has an anonymous device
 * number, and the line and mountinfo may name different devices of the same Btrfs.
 */
function isMountOf(entry: FstabEntry, mount: Mount): boolean {
  if (entry.type === 'tmpfs') return mount.type === 'tmpfs';
  if (entry.device === undefined || mount.type === 'btrfs') return true;
  // If several devices have the same identity, mounts-genuine verifies that the right device is mounted.
  return [entry.device, ...entry.copies].includes(mount.device);
}

/** Returns the options that root-readonly, boot-readonly, mount-options and the checks of REQUIRE_OPTIONS already require. */
function requiredElsewhere({ config }: AssessedFacts, target: string): string[] {
  const readOnly = ['/', ...words(config.REQUIRE_READONLY)].includes(target) ? ['ro'] : [];
  const options = [...requiredOptions(config), ...addedOptions(config)].filter(
    (each) => each.target === target,
  );
  return [...readOnly, ...options.flatMap(({ list }) => list)];
}

const restrictions: readonly (readonly [string, string])[] = [
  ['ro', 'rw'],
  ['noexec', 'exec'],
  ['nosuid', 'suid'],
  ['nodev', 'dev'],
];

/** Whether a line is a bind mount, whose source may be a directory below /dev instead of a device. */
function isBind({ options }: FstabEntry): boolean {
  return options.includes('bind') || options.includes('rbind');
}

export const swapOff: Check = {
  id: 'swap-off',
  seal: true,
  messageId: 'ff98341be7a94029a81ca89274650b08',
  subject: 'swap',
  expected: 'none on a system disk',
  evaluate: (facts) => {
    const elsewhere = unwrap(facts.swaps).map(({ source }) => source);
    return judge(
      [...active(facts), ...wanted(facts)],
      elsewhere.length === 0 ? 'none in use' : `only on other disks: ${elsewhere.join(' ')}`,
      'While the disk is writable, remove the swap line from /etc/fstab; until the next boot: swapoff -a.',
    );
  },
};

/**
 * Returns a problem for each swap space in use on a system disk. A swap file is on the disk of its file system.
 * @throws Error for a swap device whose disk is unknown, because the device node is outside /dev or was removed
 */
function active(facts: AssessedFacts): string[] {
  const unknown = unwrap(facts.swaps).find(({ type, disks }) => type === 'partition' && disks.length === 0);
  if (unknown !== undefined) throw new Error(`${unknown.source} is in use on an unknown disk`);
  return unwrap(facts.swaps)
    .filter((swap) =>
      swap.type === 'partition'
        ? unwrap(facts.systemDisks).includes(swap.disks)
        : isFileOnSystem(facts, swap.source),
    )
    .map(({ source }) => `${source} is in use`);
}

function isFileOnSystem(facts: AssessedFacts, file: string): boolean {
  return unwrap(facts.systemDisks).holds(facts.mounts.serving(file));
}

function wanted(facts: AssessedFacts): string[] {
  const lines = unwrap(facts.fstabEntries).filter(
    ({ type, options }) => type === 'swap' && !options.includes('noauto'),
  );
  return lines.flatMap((entry) => {
    const { line, source, options } = entry;
    if (entry.missing) {
      return options.includes('nofail') ? [] : [`/etc/fstab line ${line}: ${source} does not exist`];
    }
    const file = source.startsWith('/') && !isBelow(source, '/dev');
    const bad = file
      ? isFileOnSystem(facts, source)
      : unwrap(facts.systemDisks).includes(entry.disks) || entry.disks.some(({ readOnly }) => readOnly);
    return bad ? [`/etc/fstab line ${line}: ${source} is on a system disk`] : [];
  });
}

export const mtabLink: Check = {
  id: 'mtab-link',
  messageId: '064fd38fa0064617ab60f53e5618bd1c',
  subject: '/etc/mtab',
  expected: 'a link to /proc/self/mounts',
  evaluate: ({ mtab }) => {
    const link = unwrap(mtab);
    const observed = link === undefined ? 'not a link' : `a link to ${link}`;
    if (link !== undefined && isMountTable(link)) return { status: 'pass', observed };
    const remedy = 'ln -sfn ../proc/self/mounts /etc/mtab, while the disk is writable.';
    return { status: 'fail', observed, remedy };
  },
};
