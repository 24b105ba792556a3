import { shortList } from '../../lib/format.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action, Conflict, ExecFindings, Step } from '../engine/step.ts';
import { planBypasses } from './exec/bypasses.ts';
import {
  closureConflicts,
  closureNotes,
  describeUsers,
  leavesNoPlace,
  findConflicts,
  isOpen,
} from './exec/conflicts.ts';
import { type MountTarget, findMountTargets, mountTargetOf } from './exec/mount-targets.ts';
import { conflictsOf, isSame, proposeOptions } from './exec/proposal.ts';
import { type ClosureUser, findRunning } from './exec/running.ts';
import { editConfig } from './writes/proposal.ts';

/**
 * Plans the step `exec`: MOUNT_OPTIONS breaks nothing that runs, or is executable and in use. A stricter value and the
 * sysctls of the check exec-bypass are written only on request, because software that does not run now may need what they
 * forbid.
 */
export async function planExec(look: Snapshot): Promise<Step> {
  const { reader, mounts, config, settings } = look;
  const targets = findMountTargets(look);
  const running = await findRunning(reader, mounts, (file) =>
    isOpen(mountTargetOf(targets, file), 'noexec', file),
  );
  const { found, incomplete } = await findConflicts(look, targets, running);
  const reasons = [...running.unexamined, ...(incomplete === undefined ? [] : [incomplete])];
  const { closures } = running;
  const needed = [...found, ...closureConflicts(targets, closures)];
  const proposal = reasons.length === 0 ? proposeOptions(targets, needed) : null;
  const options = planOptions(look, targets, { found, closures }, proposal);
  const bypasses = planBypasses(reader, running, settings);
  const actions = [...options.actions, ...bypasses.actions];
  const unknown =
    reasons.length === 0
      ? []
      : [
          `No stricter value is proposed, because not everything could be examined: ${shortList(reasons, '; ', 3)}.`,
        ];
  const notes = [...options.notes, ...closureNotes(closures), ...bypasses.notes, ...unknown];
  const exec: ExecFindings = {
    targets: targets.map(({ target, options: possible }) => ({ target, options: [...possible] })),
    conflicts: found,
    proposal,
  };
  const step = (state: Step['state'], why: string[]): Step => ({
    ...{ id: 'exec', state, why: [...why, ...notes], actions, exec },
  });
  if (actions.length > 0) return step('needed', [...options.why, ...bypasses.why, ...options.manual]);
  if (options.manual.length > 0) return step('by hand', options.manual);
  return step('done', [
    config.MOUNT_OPTIONS === ''
      ? 'MOUNT_OPTIONS is empty: a sealed boot adds no mount options.'
      : `No running program and no file in use conflicts with MOUNT_OPTIONS=${config.MOUNT_OPTIONS}.`,
  ]);
}

interface PlannedOptions {
  actions: Action[];
  why: string[];
  manual: string[];
  notes: string[];
}

function planOptions(
  { reader, config, settings }: Snapshot,
  targets: readonly MountTarget[],
  { found, closures }: { found: readonly Conflict[]; closures: readonly ClosureUser[] },
  proposal: string | null,
): PlannedOptions {
  const value = config.MOUNT_OPTIONS;
  const broken = conflictsOf(value, targets, found);
  const others = found.filter((each) => !broken.includes(each));
  const notes = others.length === 0 ? [] : [`A stricter MOUNT_OPTIONS would break: ${describe(others)}.`];
  const problems =
    broken.length === 0
      ? []
      : [`A sealed boot sets MOUNT_OPTIONS=${value}, which breaks: ${describe(broken)}.`];
  if (closures.length > 0 && leavesNoPlace(value, targets)) {
    const who = describeUsers(closures);
    problems.push(
      `A sealed boot sets MOUNT_OPTIONS=${value}, which leaves libffi in ${who} no place for its closures.`,
    );
  }
  if (proposal === null || isSame(proposal, value)) {
    return { actions: [], why: [], manual: problems, notes };
  }
  const line = `MOUNT_OPTIONS=${proposal}`;
  if (settings.strictMounts) {
    const edit = editConfig(reader, { MOUNT_OPTIONS: proposal });
    if (typeof edit === 'string')
      return { actions: [], why: [], manual: [...problems, `Proposed: ${line}. ${edit}.`], notes };
    const why = [...problems, `The strictest value that breaks nothing now: ${line}`];
    return { actions: edit === undefined ? [] : [edit], why, manual: [], notes };
  }
  const how = '`prepare --apply --only exec --strict-mounts` writes the line.';
  if (problems.length > 0) {
    const move = broken.length === 0 ? 'Use' : 'Move these programs to the system disk, or use';
    const remedy = `${move} the strictest value that breaks nothing: ${line}`;
    return { actions: [], why: [], manual: [...problems, remedy, how], notes };
  }
  return {
    actions: [],
    why: [],
    manual: [],
    notes: [...notes, `A stricter value that breaks nothing now: ${line}`, how],
  };
}

/** Describes conflicts: "noexec on /var: /var/lib/agent/agentd (agentd (812)); …". */
function describe(found: readonly Conflict[]): string {
  const groups = Map.groupBy(found, ({ option, target }) => `${option} on ${target}`);
  const texts = [...groups].map(([title, group]) => {
    const byFile = Map.groupBy(group, ({ file }) => file);
    const files = [...byFile].map(([file, same]) => {
      const users = same.map(({ by }) => by).filter((by) => by !== '');
      return users.length === 0 ? file : `${file} (${shortList([...new Set(users)], ', ', 3)})`;
    });
    return `${title}: ${shortList(files, ', ', 5)}`;
  });
  return texts.join('; ');
}
