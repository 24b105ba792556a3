import { shortList } from '../../lib/format.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { type Part, type Planned, stepFrom, when } from '../engine/part.ts';
import type { Conflict, ExecFindings } from '../engine/step.ts';
import { planBypasses } from './exec/bypasses.ts';
import { findConflicts, isOpen } from './exec/conflicts.ts';
import {
  type MountTarget,
  conflictsOf,
  findMountTargets,
  isSame,
  mountTargetOf,
  proposeOptions,
} from './exec/mount-targets.ts';
import { findRunning } from './exec/running.ts';
import { editConfig } from './writes/proposal.ts';

/**
 * Plans the step `exec`: MOUNT_OPTIONS breaks nothing that runs, or is executable and in use. A stricter value and the
 * sysctls of the check exec-bypass are written only on request, because software that does not run now may need what they
 * forbid.
 */
export async function planExec(look: Snapshot): Promise<Planned> {
  const { reader, config, settings } = look;
  const targets = findMountTargets(look);
  const running = await findRunning(look, (file) => isOpen(mountTargetOf(targets, file), 'noexec', file));
  const { found, incomplete } = await findConflicts(look, targets, running);
  const reasons = [...running.unexamined, ...(incomplete === undefined ? [] : [incomplete])];
  const proposal = reasons.length === 0 ? proposeOptions(targets, found) : null;
  const bypasses = planBypasses(reader, running, settings);
  const unknown = `No stricter value is proposed, because not everything could be examined: ${shortList(reasons, '; ', 3)}.`;
  const notes = [...(bypasses.notes ?? []), ...when(reasons.length > 0, unknown)];
  const exec: ExecFindings = {
    targets: targets.map(({ target, options }) => ({ target, options: [...options] })),
    conflicts: found,
    proposal,
  };
  const parts = [planOptions(look, targets, found, proposal), { ...bypasses, notes }];
  const step = stepFrom(parts, () => [
    config.MOUNT_OPTIONS === ''
      ? 'MOUNT_OPTIONS is empty: a sealed boot adds no mount options.'
      : `No running program and no file in use conflicts with MOUNT_OPTIONS=${config.MOUNT_OPTIONS}.`,
  ]);
  return { ...step, exec };
}

function planOptions(
  { reader, config, settings }: Snapshot,
  targets: readonly MountTarget[],
  found: readonly Conflict[],
  proposal: string | null,
): Partial<Part> {
  const value = config.MOUNT_OPTIONS;
  const broken = conflictsOf(value, targets, found);
  const others = found.filter((each) => !broken.includes(each));
  const notes = when(others.length > 0, `A stricter MOUNT_OPTIONS would break: ${describe(others)}.`);
  const problems = when(
    broken.length > 0,
    `A sealed boot sets MOUNT_OPTIONS=${value}, which breaks: ${describe(broken)}.`,
  );
  if (proposal === null || isSame(proposal, value)) return { manual: problems, notes };
  const line = `MOUNT_OPTIONS=${proposal}`;
  if (settings.strictMounts) {
    const actions = editConfig(reader, { MOUNT_OPTIONS: proposal });
    if (typeof actions === 'string')
      return { manual: [...problems, `Proposed: ${line}. ${actions}.`], notes };
    const why = [...problems, `The strictest value that breaks nothing now: ${line}`];
    return { actions, why, notes };
  }
  const how = '`prepare --apply --only exec --strict-mounts` writes the line.';
  if (problems.length === 0)
    return { notes: [...notes, `A stricter value that breaks nothing now: ${line}`, how] };
  const move = broken.length === 0 ? 'Use' : 'Move these programs to the system disk, or use';
  return { manual: [...problems, `${move} the strictest value that breaks nothing: ${line}`, how], notes };
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
