import { words } from '../config/config.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import type { FstabEntry } from '../facts/mounts/fstab-devices.ts';
import { type Mount, isBelow } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import { requiredOptions } from '../facts/mounts/targets.ts';
import type { Check } from './check.ts';

/** What fstab asks for can be had on a read-only disk, and is what is mounted. */
export const fstabConsistent: Check = {
  id: 'fstab-consistent',
  severity: 'required',
  seal: true,
  messageId: '6f2fbc9228f64f5a9eacc44b80a0ad99',
  documentation: {
    title: 'what /etc/fstab asks for can be had on a read-only disk',
    means:
      'A file system on a read-only disk or a disk of the system has the option ro (not /var and what is below it: the boot mounts those read-only below an overlay), is not checked at boot (the last field is 0, but for XFS and Btrfs, whose checkers do nothing), and asks neither for quotas nor to be made or grown. Every line that is mounted at boot is mounted, from its device or as the tmpfs that it is, with the options ro, noexec, nosuid and nodev where it has them and no other check asks for them.',
    why: 'systemd-remount-fs, systemd-fsck, quotaon and growfs fail on a read-only disk, and the system counts as degraded or stops in an emergency shell. What is mounted otherwise than fstab says was changed by somebody, or never came up.',
    fix: 'While the disk is writable, give the line the option ro and 0 as its last field, and take quota options and x-systemd.growfs out. Where something else is mounted than the line says, find out who mounted it, or see why it could not be: systemctl status and the name of its .mount unit.',
  },
  evaluate: (facts) => {
    const { problems } = unwrap(facts.fstab);
    const lines = unwrap(facts.fstabEntries);
    const wrong = [
      ...problems.map(({ line, reason }) => `line ${line}: ${reason}`),
      ...lines.flatMap((entry) =>
        [...askedInVain(facts, entry), ...mountedOtherwise(facts, entry)].map(
          (text) => `line ${entry.line}, ${entry.target}: ${text}`,
        ),
      ),
    ];
    const subject = '/etc/fstab';
    const expected = 'only what a read-only disk can give, and what is mounted';
    if (wrong.length === 0) {
      const observed = lines.length === 0 ? 'no line' : `${lines.length} lines`;
      return { status: 'pass', subject, expected, observed, remedy: '' };
    }
    const remedy = 'Mend the lines named in /etc/fstab while the disk is writable, and reboot.';
    return { status: 'fail', subject, expected, observed: wrong.join('; '), remedy };
  },
};

/** What a read-only file system cannot give: ext4(5), xfs(5): quota; systemd.mount(5): x-systemd.* */
export const inVain =
  /^((usr|grp|prj)j?quota(=.*)?|[ugp]?quota|[ugp]qnoenforce|jqfmt=.*|x-systemd\.(growfs|makefs))$/;

function askedInVain(facts: AssessedFacts, entry: FstabEntry): string[] {
  const { target, type, options, pass } = entry;
  if (!target.startsWith('/') || type === 'swap' || !isOnReadOnly(facts, entry)) return [];
  const checkedByNobody = ['xfs', 'btrfs'].includes(type);
  return [
    ...(isBelow(target, '/var') || lasting(options, 'ro', 'rw') ? [] : ['no ro']),
    ...(pass === 0 || checkedByNobody ? [] : [`checked at boot (${pass})`]),
    ...options.filter((option) => inVain.test(option)),
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
  if (isBelow(target, '/var') && mount.type === 'overlay') return [];
  // What systemd mounts on the first access.
  if (mount.type === 'autofs') return [];
  // What hides it is for stacked-mounts.
  const sameDevice = facts.mounts.at(target).some((each) => isOf(entry, each));
  const has = [...mount.options, ...mount.superOptions];
  const elsewhere = checkedElsewhere(facts, target);
  const lacking = restrictions.filter(
    ([on, off]) => lasting(options, on, off) && !has.includes(on) && !elsewhere.includes(on),
  );
  return [
    ...(entry.missing && !isBind(entry) && !options.includes('nofail')
      ? [`${entry.source} is not there`]
      : []),
    ...(sameDevice ? [] : [`mounted from ${mount.source} (${mount.device}), not from ${entry.source}`]),
    ...(lacking.length === 0 ? [] : [`mounted without ${lacking.map(([on]) => on).join(',')}`]),
  ];
}

/** Btrfs has a number of its own, and fstab need not name the device that mountinfo names. */
function isOf(entry: FstabEntry, mount: Mount): boolean {
  if (entry.type === 'tmpfs') return mount.type === 'tmpfs';
  if (entry.device === undefined || mount.type === 'btrfs') return true;
  // Which of several with the same identity it is, mounts-genuine says.
  return [entry.device, ...entry.copies].includes(mount.device);
}

/** What root-readonly, boot-readonly and the checks of REQUIRE_OPTIONS already ask for. */
function checkedElsewhere({ config }: AssessedFacts, target: string): string[] {
  const readOnly = ['/', ...words(config.REQUIRE_READONLY)].includes(target) ? ['ro'] : [];
  const options = requiredOptions(config).filter((each) => each.target === target);
  return [...readOnly, ...options.flatMap(({ list }) => list)];
}

const restrictions: readonly (readonly [string, string])[] = [
  ['ro', 'rw'],
  ['noexec', 'exec'],
  ['nosuid', 'suid'],
  ['nodev', 'dev'],
];

/** Of two options that undo each other the last counts (mount(8)); the first is what is asked for. */
function lasting(options: readonly string[], on: string, off: string): boolean {
  return options.lastIndexOf(on) > options.lastIndexOf(off);
}

/** Of a folder, which may be below /dev. */
function isBind({ options }: FstabEntry): boolean {
  return options.includes('bind') || options.includes('rbind');
}
