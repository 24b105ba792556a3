import { addedOptions, type TargetOptions } from '../../../facts/mounts/targets.ts';
import type { Conflict } from '../../engine/step.ts';
import { type MountOption, type MountTarget, affectedTargets, canBeNamed } from './mount-targets.ts';

/** Returns the options that a target must not get, because they would break something there or in a directory of it. */
function forbiddenOptions(
  targets: readonly MountTarget[],
  found: readonly Conflict[],
): Map<string, Set<MountOption>> {
  const byTarget = new Map<string, Set<MountOption>>();
  for (const { target, option } of found) {
    const own = targets.find((each) => each.target === target);
    for (const affected of own === undefined ? [] : affectedTargets(targets, own)) {
      byTarget.set(affected.target, (byTarget.get(affected.target) ?? new Set()).add(option));
    }
  }
  return byTarget;
}

/** Returns the strictest value of MOUNT_OPTIONS that breaks nothing. */
export function proposeOptions(targets: readonly MountTarget[], found: readonly Conflict[]): string {
  const forbidden = forbiddenOptions(targets, found);
  const named = targets.filter(({ target }) => canBeNamed(target));
  const items = (some: readonly MountTarget[]) =>
    some.flatMap(({ target, options }) => {
      const left = options.filter((option) => forbidden.get(target)?.has(option) !== true);
      return left.length === 0 ? [] : [`${target}:${left.join(',')}`];
    });
  const strict = named.filter(({ isStrict }) => isStrict);
  const isStrictPossible = strict.every(({ target }) => !forbidden.has(target));
  const others = items(named.filter(({ isStrict }) => !isStrict));
  return [...(isStrictPossible ? ['strict'] : items(strict)), ...others].join(' ');
}

/** Returns the conflicts with the options that a value of MOUNT_OPTIONS sets. */
export function conflictsOf(
  value: string,
  targets: readonly MountTarget[],
  found: readonly Conflict[],
): Conflict[] {
  const set = optionsOf(value);
  return found.filter(({ target, option }) => {
    const own = targets.find((each) => each.target === target);
    const affected = own === undefined ? [] : affectedTargets(targets, own);
    return affected.some(
      (each) => set.find((item) => item.target === each.target)?.list.includes(option) === true,
    );
  });
}

/** Whether two values of MOUNT_OPTIONS set the same options. */
export function isSame(one: string, other: string): boolean {
  const text = (value: string) =>
    optionsOf(value)
      .map(({ target, list }) => `${target}:${list.toSorted().join(',')}`)
      .toSorted()
      .join(' ');
  return text(one) === text(other);
}

function optionsOf(value: string): TargetOptions[] {
  return addedOptions({ MOUNT_OPTIONS: value });
}
