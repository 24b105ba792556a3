import { words } from '../../config/config.ts';
import { shortList } from '../../lib/format.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action, Settings, Step, WriteGroup } from '../engine/step.ts';
import { type Accepted, acceptedFile, readAccepted } from '../../config/accepted.ts';
import { planAcceptance } from './accepted.ts';
import { isReset } from './state.ts';
import { describeGroup, describeUnexplained, minute, summarise } from './writes/describe.ts';
import { type Inspection, inspectWrites } from './writes/inspect.ts';
import { canOverlay, editConfig, isDirectory, pathOf, proposedOverlay } from './writes/proposal.ts';
import { type RunningPrograms, findRunningPrograms, runningFrom } from './writes/running-programs.ts';

const secondsPerDay = 86400;
/** The maximum number of groups and processes in one list. */
const mostListed = 10;

/**
 * Plans the step `writes`: for what was written on the disk since the last boot, or in the last days, and would fail in
 * a sealed boot, there is a directory in OVERLAY or PERSIST, or an administrator has accepted it. Changes of unknown
 * origin that no process is seen to make are listed and do not prevent sealing.
 */
export async function planWrites(look: Snapshot): Promise<Step> {
  const { reader, settings } = look;
  const now = reader.now().getTime() / 1000;
  const { sinceDays } = settings;
  const since = now - (sinceDays === undefined ? reader.environment().seconds : sinceDays * secondsPerDay);
  const before = readAccepted(reader);
  const inspection = await inspectWrites(look, since, asAccepted(before, settings));
  const running = inspection.groups.some(isUnknown)
    ? await findRunningPrograms(reader)
    : { programs: [], unexamined: [] };
  const groups = inspection.groups.map((group) => withProposal(look, running, group));
  const plan = planLines(look, groups);
  const acceptance = planAcceptance(
    reader,
    before,
    settings.acceptPaths.filter((path) => !isReset(look, path)),
    settings.acceptUntil,
  );
  const manual = [
    ...inspection.problems,
    ...before.invalid.map(
      (line) => `${acceptedFile}:${line}: neither a path nor "until TIME". Correct or remove the line.`,
    ),
    ...plan.problems,
    ...groups.filter(isManual).map(describeGroup),
  ];
  const actions = [...plan.lines, ...acceptance];
  const period = `${minute(new Date(since * 1000).toISOString())} (${sinceDays === undefined ? 'the last boot' : `${sinceDays} days ago`})`;
  const notes = [
    ...unexplained(groups),
    ...unexaminedNote(running),
    ...notesOf(groups, inspection),
    ...inspection.notes,
  ];
  const step = (state: Step['state'], why: string[]): Step => ({
    ...{ id: 'writes', state, why: [...why, ...notes], actions },
    ...(groups.length > 0 ? { writes: groups } : {}),
  });
  if (actions.length > 0) {
    const needed = [...groups.filter(needsLine).map(describeGroup), ...plan.why, ...manual];
    return step('needed', [`Changes since ${period}:`, ...needed]);
  }
  if (manual.length > 0) {
    return step('by hand', [
      `Changes since ${period}:`,
      ...manual,
      'To accept changes of a path: `prepare --apply --only writes --accept PATH...`.',
    ]);
  }
  return step('done', [`No change since ${period} prevents sealing.`]);
}

/** Returns the accepted changes as they are after this run. */
function asAccepted(accepted: Accepted, { acceptPaths, acceptUntil = 0 }: Settings): Accepted {
  return {
    ...accepted,
    paths: [...accepted.paths, ...acceptPaths],
    until: Math.max(accepted.until, acceptUntil),
  };
}

function isUnknown({ outcome }: WriteGroup): boolean {
  return outcome === 'unknown';
}

/**
 * Adds the directory of an unknown writer as overlay if a program is seen to write there: a process has a file of the
 * directory open for writing, or runs from it. Everything else of unknown origin may as well be the work of an
 * administrator, which a sealed guest keeps. Leaves out directories that do not exist.
 */
function withProposal(look: Snapshot, { programs }: RunningPrograms, group: WriteGroup): WriteGroup {
  const { reader } = look;
  if (isUnknown(group)) {
    const { directory, openBy } = group;
    if (directory === null || !canOverlay(reader, directory))
      return { ...group, blocking: openBy.length > 0 };
    // Programs of administrators run from /usr, too.
    const running = isBelow(directory, '/usr') ? [] : runningFrom(programs, directory);
    const isWritten = openBy.length > 0 || running.length > 0;
    return {
      ...group,
      programs: openBy.length > 0 ? [] : running.slice(0, mostListed),
      blocking: isWritten,
      overlay: isWritten ? [directory] : [],
    };
  }
  const overlay = group.overlay.filter((item) => isDirectory(reader, pathOf(item)));
  return { ...group, overlay, blocking: group.blocking || overlay.length > 0 };
}

/** Whether only an administrator can do what a group needs. */
function isManual({ blocking, overlay }: WriteGroup): boolean {
  return blocking && overlay.length === 0;
}

/** Whether a group needs a line in the configuration that --apply writes. */
function needsLine({ overlay }: WriteGroup): boolean {
  return overlay.length > 0;
}

interface PlannedLines {
  lines: Action[];
  why: string[];
  problems: string[];
}

/** Plans the line OVERLAY. */
function planLines({ reader, config }: Snapshot, groups: readonly WriteGroup[]): PlannedLines {
  const overlay = proposedOverlay(config, groups);
  const isChanged = overlay !== words(config.OVERLAY).join(' ');
  if (!isChanged) return { lines: [], why: [], problems: [] };
  const edit = editConfig(reader, { OVERLAY: overlay });
  const proposed = `Proposed: OVERLAY=${overlay}`;
  if (typeof edit === 'string') return { lines: [], why: [], problems: [proposed, `${edit}.`] };
  return { lines: edit === undefined ? [] : [edit], why: [proposed], problems: [] };
}

/** Returns the sentences about changes of unknown origin that do not prevent sealing. */
function unexplained(groups: readonly WriteGroup[]): string[] {
  const listed = groups.filter((group) => isUnknown(group) && !group.blocking);
  if (listed.length === 0) return [];
  const more = listed.length - mostListed;
  return [
    ...listed.slice(0, mostListed).map(describeUnexplained),
    ...(more > 0 ? [`${more} further directories with changes of unknown origin: see --json.`] : []),
    'The origin of these changes is unknown, and no process has a file of them open for writing. What an administrator changed needs nothing. A program that writes there at intervals will fail in a sealed boot: `prepare --rehearse` finds it; then configure it to write below /var, or add the directory to OVERLAY. To stop listing the changes so far: `prepare --apply --only writes --accept changes`.',
  ];
}

function unexaminedNote({ unexamined }: RunningPrograms): string[] {
  if (unexamined.length === 0) return [];
  return [
    `A program that runs from one of these directories may be missing, because not every process could be examined: ${shortList(unexamined, '; ', 3)}.`,
  ];
}

/** Returns the sentences about changes that need nothing. */
function notesOf(groups: readonly WriteGroup[], { updates, own }: Inspection): string[] {
  const fine = groups.filter(({ outcome }) => ['harmless', 'maintenance', 'accepted'].includes(outcome));
  const left = [
    ...(updates > 0 ? [`${updates} by package updates`] : []),
    ...(own > 0 ? [`${own} by prepare`] : []),
  ];
  return [
    ...(fine.length === 0 ? [] : [`Nothing is needed for: ${summarise(fine)}; --json explains each.`]),
    ...(left.length === 0 ? [] : [`Left out: ${left.join(', ')}.`]),
  ];
}
