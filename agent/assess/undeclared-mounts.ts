import { type Config, configFile } from '../config/config.ts';
import { pathItems } from '../facts/boot/kept-paths.ts';
import { missingRestrictions } from '../facts/mounts/fstab.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { isOfPrograms, startReason } from '../facts/security/places.ts';
import { type PermittedMounts, dataProblems } from './permitted-mounts.ts';
import { isOnDisk } from './persistence.ts';
import type { SystemDisks } from './system-disks.ts';

/** A mount that outlives a reboot, is on no disk that the host must make read-only, and is not declared as data. */
export interface UndeclaredMount {
  mount: Mount;
  /** What is wrong: a clause. */
  reason: string;
  /** Whether fstab or a unit mounts it at the next boot, too. */
  isConfigured: boolean;
  /** The instruction to declare it or to remove it. */
  remedy: string;
}

/** Finds the mounts that no row of the table permits and that host-enforced does not report by their disks. */
export function findUndeclared(
  { mounts, config }: { mounts: { all: readonly Mount[] }; config: Config },
  permitted: PermittedMounts,
  systemDisks: SystemDisks,
): UndeclaredMount[] {
  return unpermittedMounts(mounts, permitted)
    .filter((mount) => !(isOnDisk(mount) && systemDisks.holds(mount)))
    .map((mount) => describe(mount, config, permitted));
}

/** Returns the mounts that outlive a reboot and that no row of the table permits. */
function unpermittedMounts({ all }: { all: readonly Mount[] }, permitted: PermittedMounts): Mount[] {
  return all.filter((mount) => permitted.reasonFor(mount, 'persistent') === undefined);
}

/**
 * Returns those in directories with the programs of the system, which cannot be declared as data: the host must make their
 * disks read-only, like those of /.
 */
export function mountsOfPrograms(mounts: { all: readonly Mount[] }, permitted: PermittedMounts): Mount[] {
  return unpermittedMounts(mounts, permitted).filter(
    (mount) => isOnDisk(mount) && isOfPrograms(mount.target),
  );
}

/** A mount that is permitted because it is data by declaration, or made anew by every boot. */
export interface DataMount {
  target: string;
  type: string;
  /** The id of the row of the table of mounts that permits it. */
  rule: string;
  /** A clause without a subject. */
  reason: string;
  /** Whether programs may run from it. */
  executable: boolean;
}

const dataRules = ['scratch', 'persist', 'home', 'fstab-data', 'DATA', 'bound-data', 'bound-on-itself'];
const programRules = ['automounted-data', 'container', 'user-fuse'];

/** Lists the mounts that are permitted although the host did not make a disk below them read-only. */
export function findData(mounts: { all: readonly Mount[] }, permitted: PermittedMounts): DataMount[] {
  return mounts.all.flatMap((mount) => {
    const row = permitted.reasonFor(mount, 'persistent');
    if (row === undefined || ![...dataRules, ...programRules].includes(row.id)) return [];
    const { target, type, options } = mount;
    return [{ target, type, rule: row.id, reason: row.why, executable: !options.includes('noexec') }];
  });
}

function describe(mount: Mount, config: Config, permitted: PermittedMounts): UndeclaredMount {
  const { target } = mount;
  const source = sourceOf(mount, permitted);
  const found = { mount, isConfigured: source !== undefined };
  if (isOfPrograms(target)) {
    const reason = 'programs of the system start from there, so it is never data';
    return { ...found, reason, remedy: programRemedy(target) };
  }
  const item = permitted.dataItem(target);
  const lacking = item === undefined ? [] : dataProblems(mount, item);
  const starts = startReason(target);
  if (item !== undefined) {
    const why = lacking.includes('autostart') ? ` (${starts})` : '';
    const reason = `its item ${itemText(item)} of DATA lacks ${lacking.join(',')}${why}`;
    const remedy = `${inConfig(config, item.path, [...item.options, ...lacking])}, or restrict the mount to the options of the item.`;
    return { ...found, reason, remedy };
  }
  const needed = missingRestrictions(mount.options).map((option) => option.slice(2));
  if (starts !== undefined) {
    const reason = `it is not only data: ${starts}`;
    const remedy = `If it must be kept: ${inConfig(config, target, [...needed, 'autostart'])}. Root in an earlier boot may have written it.`;
    return { ...found, reason, remedy };
  }
  if (source === undefined) {
    const reason = 'neither /etc/fstab nor DATA names it';
    const remedy = `Find out which process mounted it, and run: umount ${target}. If the guest needs it, name it in /etc/fstab with noexec,nosuid,nodev, or ${inConfig(config, target, needed, 'write')}.`;
    return { ...found, reason, remedy };
  }
  const lacks = missingRestrictions(source.options);
  const reason =
    lacks.length === 0
      ? `it is mounted without ${missingRestrictions(mount.options).join(',')}, unlike in ${source.name}`
      : `${source.name} mounts it without ${lacks.join(',')}`;
  return { ...found, reason, remedy: sourceRemedy(mount, source.name, lacks, config) };
}

/** Returns the line of fstab or the unit that mounts a file system, with its options. */
function sourceOf(
  mount: Mount,
  permitted: PermittedMounts,
): { name: string; options: readonly string[] } | undefined {
  const [line] = permitted.linesOf(mount);
  if (line !== undefined) return { name: `line ${line.line} of /etc/fstab`, options: line.options };
  const unit = permitted.unitOf(mount);
  return unit && { name: `the mount unit of ${mount.target}`, options: unit.options };
}

function programRemedy(target: string): string {
  return `Mount the file system elsewhere, or copy its content to ${target} on a disk that the host makes read-only.`;
}

function sourceRemedy({ target, options }: Mount, source: string, inLine: string[], config: Config): string {
  if (inLine.length === 0) {
    return `Find out which process remounted it, and run: mount -o remount,${missingRestrictions(options).join(',')} ${target}.`;
  }
  const others = inLine.filter((option) => option !== 'noexec');
  const isExecutable = inLine.includes('noexec');
  return [
    `If ${target} holds only data, add ${inLine.join(',')} to the options of ${source} while the disk is writable, and reboot.`,
    ...(isExecutable
      ? [
          `If programs must run from it, ${others.length === 0 ? '' : `add ${others.join(',')} there and `}${inConfig(config, target, ['exec'], 'write')}.`,
        ]
      : []),
    `If it belongs to the system, add ${target} to REQUIRE_READONLY, and make its disk read-only in the host.`,
  ].join(' ');
}

/** Returns the instruction to set an item of DATA, with the other items of the present value. */
function inConfig({ DATA }: Config, path: string, options: readonly string[], verb = 'Write'): string {
  const others = pathItems(DATA).filter((item) => item.path !== path);
  const items = [...others, { path, options: [...options] }].map(itemText);
  return `${verb} DATA=${items.join(' ')} in ${configFile}`;
}

function itemText({ path, options }: { path: string; options: readonly string[] }): string {
  return options.length === 0 ? path : `${path}:${options.join(',')}`;
}
