import { words } from '../../config/config.ts';
import { shortList, minute } from '../../lib/format.ts';
import { type Part, type Planned, stepOf, when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { WriteGroup } from '../engine/step.ts';
import { invalidLines, planAcceptance } from './accepted.ts';
import { isReset } from './layers.ts';
import { type Inspection, inspectWrites, isState } from './writes/inspect.ts';
import { editConfig, isDirectory, proposedOverlay } from './writes/proposal.ts';
import { pathOf } from '../../config/keys.ts';

const mostListed = 10;

/**
 * Plans the step `writes`: for what was written on the disk since the last boot, or in the last days, and would fail in
 * a sealed boot, there is a directory in OVERLAY or PERSIST, or an administrator has accepted it. The step `state` reports
 * the directories in which a program keeps state. Other changes of unknown origin are listed and do not prevent
 * sealing.
 */
export async function planWrites(look: Snapshot): Promise<Planned> {
  const { reader, settings } = look;
  const inspection = await inspectWrites(look);
  const { since, accepted } = inspection;
  const groups = inspection.groups.map((group) => withProposal(reader, group));
  const overlay = planOverlay(look, groups);
  const paths = settings.acceptPaths.filter((path) => !isReset(look, path));
  const actions = [
    ...(overlay.actions ?? []),
    ...planAcceptance(reader, accepted, paths, settings.acceptUntil),
  ];
  const manual = [
    ...inspection.problems,
    ...invalidLines(accepted),
    ...(overlay.manual ?? []),
    ...groups.filter((group) => group.blocking && !needsLine(group)).map(describeGroup),
  ];
  const { sinceDays } = settings;
  const period = `${minute(new Date(since * 1000).toISOString())} (${sinceDays === undefined ? 'the last boot' : `${sinceDays} days ago`})`;
  const notes = [
    ...stateNote(inspection),
    ...unexplained(inspection, groups),
    ...notesOf(groups, inspection),
    ...inspection.notes,
  ];
  const step = (state: Planned['state'], ...why: string[]): Planned => ({
    ...stepOf(state, [...why, ...notes], actions),
    ...(groups.length > 0 ? { writes: groups } : {}),
  });
  const head = `Changes since ${period}:`;
  if (actions.length > 0) {
    const needed = [...groups.filter(needsLine).map(describeGroup), ...(overlay.why ?? [])];
    return step('needed', head, ...needed, ...manual);
  }
  if (manual.length === 0) return step('done', `No change since ${period} prevents sealing.`);
  const accept = 'To accept changes of a path: `prepare --apply --only writes --accept PATH...`.';
  return step('by hand', head, ...manual, accept);
}

/**
 * Adds whether a group prevents sealing: a process has a file of an unknown writer open for writing, in a directory
 * that the step `state` does not report, such as /etc. Leaves out directories that do not exist.
 */
function withProposal(reader: SystemReader, group: WriteGroup): WriteGroup {
  if (group.outcome === 'unknown')
    return { ...group, blocking: group.openBy.length > 0 && !isState(reader, group) };
  const overlay = group.overlay.filter((item) => isDirectory(reader, pathOf(item)));
  return { ...group, overlay, blocking: group.blocking || overlay.length > 0 };
}

function needsLine({ overlay }: WriteGroup): boolean {
  return overlay.length > 0;
}

function planOverlay({ reader, config }: Snapshot, groups: readonly WriteGroup[]): Partial<Part> {
  const overlay = proposedOverlay(config, groups);
  if (overlay === words(config.OVERLAY).join(' ')) return {};
  const actions = editConfig(reader, { OVERLAY: overlay });
  const proposed = `Proposed: OVERLAY=${overlay}`;
  return typeof actions === 'string' ? { manual: [proposed, `${actions}.`] } : { actions, why: [proposed] };
}

function unexplained({ stateDirectories }: Inspection, groups: readonly WriteGroup[]): string[] {
  const listed = groups.filter(
    ({ outcome, blocking, directory }) =>
      outcome === 'unknown' && !blocking && !stateDirectories.includes(directory ?? ''),
  );
  if (listed.length === 0) return [];
  const more = listed.length - mostListed;
  return [
    ...listed.slice(0, mostListed).map((group) => `${nameOf(group)}: ${factsOf(group).join('; ')}.`),
    ...when(more > 0, `${more} further directories with changes of unknown origin: see --json.`),
    'The origin of these changes is unknown, and no process has a file of them open for writing. What an administrator changed needs nothing. A program that writes there at intervals will fail in a sealed boot: `prepare --rehearse` finds it; then configure it to write below /var, or add the directory to OVERLAY. To stop listing the changes so far: `prepare --apply --only writes --accept changes`.',
  ];
}

function stateNote({ stateDirectories }: Inspection): string[] {
  return when(
    stateDirectories.length > 0,
    `The step \`state\` says how to keep or reset ${shortList(stateDirectories, ', ', mostListed)}.`,
  );
}

function notesOf(groups: readonly WriteGroup[], { updates, own }: Inspection): string[] {
  const fine = groups.filter(({ outcome }) => ['harmless', 'maintenance', 'accepted'].includes(outcome));
  const left = [...when(updates > 0, `${updates} by package updates`), ...when(own > 0, `${own} by prepare`)];
  const names = fine.map(({ writer, count }) => `${writer ?? 'accepted'} (${count})`);
  return [
    ...when(fine.length > 0, `Nothing is needed for: ${shortList(names, ', ', 12)}; --json explains each.`),
    ...when(left.length > 0, `Left out: ${left.join(', ')}.`),
  ];
}

function describeGroup(group: WriteGroup): string {
  const { advice, openBy } = group;
  const facts = [...factsOf(group), ...when(openBy.length > 0, `open for writing by ${openBy.join(', ')}`)];
  return `${nameOf(group)}: ${facts.join('; ')}. ${advice === '' ? unknownAdvice(group) : advice}`;
}

function nameOf({ writer, directory }: WriteGroup): string {
  return writer ?? directory ?? 'accepted';
}

function factsOf({ packages, count, paths: [first = ''], newest }: WriteGroup): string[] {
  const number = `${count} ${count === 1 ? 'path' : 'paths'}`;
  const changed = newest === null ? '' : ` changed, the last one at ${minute(newest)}`;
  return [`${number}${changed} (${first})`, ...when(packages.length > 0, `package ${packages.join(', ')}`)];
}

/** Returns what to do about an unknown writer that will fail in a sealed boot. */
function unknownAdvice({ directory }: WriteGroup): string {
  if (directory === '/home' || directory?.startsWith('/home/') === true)
    return 'This will fail in a sealed boot: move /home to a disk of its own (step home), or accept the changes.';
  const orOverlay = directory?.startsWith('/etc/') === true ? ', put the directory in OVERLAY' : '';
  return `This will fail in a sealed boot: configure the program to write below /var${orOverlay}, or accept the changes.`;
}
