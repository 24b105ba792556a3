import { closurePrefix } from '../../../facts/security/programs/closures.ts';
import { addedOptions } from '../../../facts/mounts/targets.ts';
import { shortList } from '../../../lib/format.ts';
import type { Conflict } from '../../engine/step.ts';
import type { MountTarget } from './mount-targets.ts';
import type { ClosureUser } from './running.ts';

/**
 * The target that stays executable for libffi, which tries /tmp, /var/tmp, /dev/shm, the home directory and then every
 * mount. In contrast to the others, only root can create files in /run itself.
 */
const place = '/run';

/** Returns the conflict that keeps `place` executable in a proposal; empty if no process needs it. */
export function closureConflicts(targets: readonly MountTarget[], users: readonly ClosureUser[]): Conflict[] {
  const target = targets.find((each) => each.target === place);
  if (users.length === 0 || target?.options.includes('noexec') !== true) return [];
  return [{ option: 'noexec', target: place, file: place, by: describeUsers(users) }];
}

/** Whether a value of MOUNT_OPTIONS leaves root no mount that is writable and executable. */
export function leavesNoPlace(value: string, targets: readonly MountTarget[]): boolean {
  const set = addedOptions({ MOUNT_OPTIONS: value });
  return targets
    .filter(({ target }) => !target.endsWith('*'))
    .every(
      ({ target, present }) =>
        present.includes('noexec') ||
        set.find((each) => each.target === target)?.list.includes('noexec') === true,
    );
}

/** The advice, which is the same in every boot, wherever libffi found a place. */
export function closureNotes(users: readonly ClosureUser[]): string[] {
  if (users.length === 0) return [];
  const items = [...new Set(users.map(({ unit }) => unit).filter((unit) => unit !== ''))];
  const allow =
    items.length === 0 ? `${closurePrefix}PROGRAM` : items.map((unit) => closurePrefix + unit).join(' ');
  return [
    `libffi in ${describeUsers(users)} needs a directory that is writable and executable, wherever it is, for its closures; without one it fails ("could not allocate closure"), although the service stays active. The proposal leaves out noexec on ${place}, where only root can create files; a service of another user needs TMPDIR. For the check foreign-programs: FOREIGN_PROGRAMS_ALLOW=${allow}`,
  ];
}

export function describeUsers(users: readonly ClosureUser[]): string {
  const names = users.map(({ name, unit }) => (unit === '' ? name : `${name} (${unit})`));
  return shortList([...new Set(names)].toSorted(), ', ', 3);
}
