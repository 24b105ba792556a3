import { words } from '../config/config.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import type { FstabEntry } from '../facts/mounts/fstab.ts';
import { type Mount, isBelow } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import { addedOptions, requiredOptions } from '../facts/mounts/targets.ts';
import type { Check } from './check.ts';

/** Verifies that fstab is compatible with a read-only disk and matches the mount table. */
export const fstabConsistent: Check = {
  id: 'fstab-consistent',
  severity: 'required',
  seal: true,
  messageId: '6f2fbc9228f64f5a9eacc44b80a0ad99',
  documentation: {
    title: '/etc/fstab fits a read-only disk and matches the mount table',
    means:
      'Every line for a file system on a read-only disk or a system disk has the option ro, has 0 as its last field (no check at boot), and has no quota option and neither x-systemd.growfs nor x-systemd.makefs. Lines for /var and for paths below /var do not need ro, because the boot mounts their file systems read-only as lower layers of overlays. Lines for XFS and Btrfs may have any last field, because fsck does nothing for these types. The check also compares /etc/fstab with the mount table: each file system that a line mounts at boot is mounted, from the device in the line or as a tmpfs. If the line has one of the options ro, noexec, nosuid and nodev, the mount has the same option, unless another check already requires that option.',
    why: 'systemd-remount-fs, systemd-fsck, quotaon and growfs fail on a read-only disk. The state of the system is then degraded, or the boot ends in an emergency shell. If a mount differs from its line in fstab, an administrator or an attacker changed the mount, or mounting failed.',
    fix: 'While the disk is writable, add the option ro to the line, set its last field to 0, and remove quota options, x-systemd.growfs and x-systemd.makefs. If a mount differs from its line, find out which process changed the mount, or why mounting failed (systemctl status of the .mount unit).',
    page: 'prepare.md',
  },
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
    const subject = '/etc/fstab';
    const expected = 'compatible with a read-only disk and consistent with the mount table';
    if (wrong.length === 0) {
      const observed = lines.length === 0 ? 'no line' : `${lines.length} lines, all consistent`;
      return { status: 'pass', subject, expected, observed };
    }
    const remedy = 'Fix the lines named in /etc/fstab while the disk is writable, and reboot.';
    return { status: 'fail', subject, expected, observed: wrong.join('; '), remedy };
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

/** Whether the option `on` is in effect. Of two opposite options, the last one takes effect (mount(8)). */
export function inEffect(options: readonly string[], on: string, off: string): boolean {
  return options.lastIndexOf(on) > options.lastIndexOf(off);
}

/** Whether a line is a bind mount, whose source may be a directory below /dev instead of a device. */
function isBind({ options }: FstabEntry): boolean {
  return options.includes('bind') || options.includes('rbind');
}
