import { words } from '../../config/config.ts';
import { shortList, minute } from '../../lib/format.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Action, Step, WriteGroup } from '../engine/step.ts';
import { acceptedFile } from '../../config/accepted.ts';
import { planAcceptance } from './accepted.ts';
import { isReset } from './state.ts';
import { describeGroup, describeUnexplained, summarise } from './writes/describe.ts';
import { type Inspection, inspectWrites, isState } from './writes/inspect.ts';
import { editConfig, isDirectory, proposedOverlay } from './writes/proposal.ts';
import { pathOf } from '../../config/keys.ts';

/** The maximum number of groups in one list. */
const mostListed = 10;

/**
 * Plans the step `writes`: for what was written on the disk since the last boot, or in the last days, and would fail in
 * a sealed boot, there is a directory in OVERLAY or PERSIST, or an administrator has accepted it. The step `state` reports
 * the directories in which a program keeps state. Other changes of unknown origin are listed and do not prevent
 * sealing.
 */
export async function planWrites(look: Snapshot): Promise<Step> {
  const { reader, settings } = look;
  const inspection = await inspectWrites(look);
  const { since, accepted: before } = inspection;
  const groups = inspection.groups.map((group) => withProposal(reader, group));
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
  const { sinceDays } = settings;
  const period = `${minute(new Date(since * 1000).toISOString())} (${sinceDays === undefined ? 'the last boot' : `${sinceDays} days ago`})`;
  const notes = [
    ...stateNote(inspection),
    ...unexplained(inspection, groups),
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

/**
 * Adds whether a group prevents sealing: a process has a file of an unknown writer open for writing, in a directory that the
 * step `state` does not report, such as /etc. Leaves out directories that do not exist.
 */
function withProposal(reader: SystemReader, group: WriteGroup): WriteGroup {
  if (group.outcome === 'unknown')
    return { ...group, blocking: group.openBy.length > 0 && !isState(reader, group) };
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
function unexplained({ stateDirectories }: Inspection, groups: readonly WriteGroup[]): string[] {
  const listed = groups.filter(
    ({ outcome, blocking, directory }) =>
      outcome === 'unknown' && !blocking && !stateDirectories.includes(directory ?? ''),
  );
  if (listed.length === 0) return [];
  const more = listed.length - mostListed;
  return [
    ...listed.slice(0, mostListed).map(describeUnexplained),
    ...(more > 0 ? [`${more} further directories with changes of unknown origin: see --json.`] : []),
    'The origin of these changes is unknown, and no process has a file of them open for writing. What an administrator changed needs nothing. A program that writes there at intervals will fail in a sealed boot: `prepare --rehearse` finds it; then configure it to write below /var, or add the directory to OVERLAY. To stop listing the changes so far: `prepare --apply --only writes --accept changes`.',
  ];
}

function stateNote({ stateDirectories }: Inspection): string[] {
  if (stateDirectories.length === 0) return [];
  return [`The step \`state\` says how to keep or reset ${shortList(stateDirectories, ', ', mostListed)}.`];
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
