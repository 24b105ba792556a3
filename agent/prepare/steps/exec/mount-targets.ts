import { parseConfig, words } from '../../../config/config.ts';
import { findHanging } from '../../../facts/mounts/hang-safe.ts';
import { type Mount, isBelow, isWritable } from '../../../facts/mounts/mountinfo.ts';
import { addedOptions } from '../../../facts/mounts/targets.ts';
import { containerDirectories } from '../../../assess/scratch-proposal.ts';
import type { Conflict } from '../../engine/step.ts';
import { isOnDisk } from '../writes/search.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { pathOf } from '../../../config/keys.ts';

type MountOption = Conflict['option'];

/** A target to which a sealed boot can add mount options. */
export interface MountTarget {
  /** As in MOUNT_OPTIONS; /run/user/* stands for the directory of each user. */
  target: string;
  options: MountOption[];
  isStrict: boolean;
  /**
   * The options of the mount that serves the target now. They break nothing that runs. Empty if a sealed boot makes
   * another mount there: /var, and directories of /var without a mount of their own.
   */
  present: string[];
  /** Whether the target is a mount point. Otherwise, the options of the target that contains it apply to it as well. */
  isMount: boolean;
  /** Whether the file system may hang, so that it is not searched. */
  mayHang: boolean;
}

/** File systems that programs can be installed on. All others are of the kernel, or of containers. */
const types = 'xfs ext2 ext3 ext4 btrfs vfat tmpfs nfs nfs4 cifs ceph gfs2'.split(' ');
/** Mounts of the agent itself, of systemd's credentials, and of containers. */
const excluded = [
  ...['/run/var', '/run/immutafs', '/run/credentials', '/run/user', '/run/netns'],
  ...containerDirectories,
];

/**
 * Finds the targets: those of `strict` and of MOUNT_OPTIONS, and every other mount that stays writable in a sealed boot.
 */
export function findMountTargets(look: Snapshot): MountTarget[] {
  const { mounts, systemDisks, config } = look;
  const strict = addedOptions({ MOUNT_OPTIONS: 'strict' });
  const known = [...strict, ...addedOptions(config)];
  const isFurther = (mount: Mount) =>
    types.includes(mount.type) &&
    isWritable(mount) &&
    !mounts.hidden.has(mount) &&
    !isOnDisk(mount, systemDisks) &&
    !known.some(({ target }) => target === mount.target) &&
    !excluded.some((folder) => isBelow(mount.target, folder)) &&
    !words(config.PERSIST).some((item) => pathOf(item) === mount.target);
  const further = mounts.all.filter(isFurther).map(({ target }) => target);
  const hanging = findHanging(mounts);
  const all = new Set([...known.map(({ target }) => target), ...further]);
  return [...all].map((target) => {
    const mount = mounts.serving(target);
    const isMount = target.endsWith('*') || mount?.target === target;
    const isLayered = isBelow(target, '/var') && (!isMount || target === '/var');
    return {
      target,
      options: (strict.find((each) => each.target === target)?.list ?? allOptions) as MountOption[],
      isStrict: strict.some((each) => each.target === target),
      present: isLayered || target.endsWith('*') ? [] : (mount?.options ?? []),
      isMount,
      mayHang: hanging.enteredAt(target) !== undefined,
    };
  });
}

const allOptions: readonly MountOption[] = ['noexec', 'nosuid', 'nodev'];

/** Returns the target that contains a path: the one with the longest path. */
export function mountTargetOf(targets: readonly MountTarget[], path: string): MountTarget | undefined {
  return targets
    .filter(({ target }) =>
      target === '/run/user/*' ? /^\/run\/user\/[^/]/.test(path) : isBelow(path, target),
    )
    .toSorted((one, other) => other.target.length - one.target.length)[0];
}

/** Returns a target and those above it whose options it gets in a sealed boot, too. */
function affectedTargets(targets: readonly MountTarget[], target: string): MountTarget[] {
  const own = targets.find((each) => each.target === target);
  if (own === undefined) return [];
  const others = targets.filter((each) => each !== own);
  const above = own.isMount ? undefined : mountTargetOf(others, target);
  return above === undefined ? [own] : [own, ...affectedTargets(targets, above.target)];
}

/** Returns the strictest value of MOUNT_OPTIONS that breaks nothing. */
export function proposeOptions(targets: readonly MountTarget[], found: readonly Conflict[]): string {
  // "TARGET:OPTION", also for the targets above that would pass the option on.
  const forbidden = new Set(
    found.flatMap(({ target, option }) =>
      affectedTargets(targets, target).map((affected) => `${affected.target}:${option}`),
    ),
  );
  const isForbidden = (target: string, option: MountOption) => forbidden.has(`${target}:${option}`);
  // In MOUNT_OPTIONS, a target must consist of certain characters.
  const named = targets.filter(
    ({ target }) => parseConfig(`MOUNT_OPTIONS=${target}:noexec\n`).problems.length === 0,
  );
  const items = (some: readonly MountTarget[]) =>
    some.flatMap(({ target, options }) => {
      const left = options.filter((option) => !isForbidden(target, option));
      return left.length === 0 ? [] : [`${target}:${left.join(',')}`];
    });
  const strict = named.filter(({ isStrict }) => isStrict);
  const isStrictPossible = strict.every(
    ({ target }) => !allOptions.some((option) => isForbidden(target, option)),
  );
  const others = items(named.filter(({ isStrict }) => !isStrict));
  return [...(isStrictPossible ? ['strict'] : items(strict)), ...others].join(' ');
}

/** Returns the conflicts with the options that a value of MOUNT_OPTIONS sets. */
export function conflictsOf(
  value: string,
  targets: readonly MountTarget[],
  found: readonly Conflict[],
): Conflict[] {
  const set = addedOptions({ MOUNT_OPTIONS: value });
  return found.filter(({ target, option }) =>
    affectedTargets(targets, target).some(
      (each) => set.find((item) => item.target === each.target)?.list.includes(option) === true,
    ),
  );
}

/** Whether two values of MOUNT_OPTIONS set the same options. */
export function isSame(one: string, other: string): boolean {
  const text = (value: string) =>
    addedOptions({ MOUNT_OPTIONS: value })
      .map(({ target, list }) => `${target}:${list.toSorted().join(',')}`)
      .toSorted()
      .join(' ');
  return text(one) === text(other);
}
