import { words } from '../../config/config.ts';
import { shortList } from '../../lib/format.ts';
import { unlessRefusedLater } from '../../system/image.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { type Planned, stepOf, when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';
import { expendableFiles } from '../../facts/expendable.ts';
import { type Accepted, readAccepted } from '../../config/accepted.ts';
import { invalidLines, planAcceptance } from './accepted.ts';
import { isReset, layeredRoots, planOverlays } from './layers.ts';
import { type Packages, noPackages, readPackages } from './packages.ts';
import { type Declaration, readDeclarations } from '../../facts/declared-directories.ts';
import { type Evidence, findState } from './state/findings.ts';
import { type StateArea, type StateGroup, searchState } from './state/search.ts';
import { findExpected } from './state/expected.ts';
import { noMoves, planMoves } from './state/move.ts';
import { planOutdated } from './state/outdated.ts';
import { copyableLines, waysOut, withProposal } from './state/proposals.ts';
import { whyNothingIsKept } from './state/store.ts';
import { persistedFolders } from './persist.ts';
import { inspectWrites } from './writes/inspect.ts';
import { pathOf } from '../../config/keys.ts';

/**
 * Plans the step `state`. It is done if all state that a sealed boot would reset is either kept (PERSIST, or a file
 * system on a data disk) or accepted by an administrator (--accept).
 */
export async function planState(look: Snapshot): Promise<Planned> {
  const { reader, settings } = look;
  const inspected = await unlessRefusedLater(() => inspectWrites(look));
  const { accepted, stateDirectories } = inspected ?? {
    accepted: readAccepted(reader),
    stateDirectories: [],
  };
  // An image has no data disk.
  const moves = reader.image === undefined ? await planMoves(look) : noMoves;
  const tops = [...planOverlays(look).targets, ...stateDirectories];
  const declared = readDeclarations(reader, ['/var', ...tops]);
  const area = stateArea(look, accepted, tops, moves.paths, declared.declarations);
  const { groups, incomplete } = await searchState(reader, area, (directory) =>
    settings.progress(`Searching ${directory} for state`),
  );
  const openFiles = look.openFiles(area.roots);
  const readOwners = inspected?.packages ?? (() => readOwnersOf(look, groups));
  const packages = groups.length > 0 ? await readOwners() : noPackages;
  const evidence: Evidence = {
    packages: typeof packages === 'string' ? noPackages : packages,
    openFiles,
    ...declared,
    ...{ tops: area.tops, isExpendable: area.isExpendable },
  };
  const found = findState(reader, groups, evidence);
  const findings = [...found, ...findExpected(look, evidence, area.decided, found)].map((each) =>
    withProposal(look, each),
  );
  const unkept = whyNothingIsKept(look, moves.paths);
  const outdated = planOutdated(look);
  // The step `writes` records what is outside of /var; in an image, it is examined at the first boot.
  const reset = settings.acceptPaths.filter((path) => reader.image !== undefined || isReset(look, path));
  const acceptance = planAcceptance(reader, accepted, reset);
  const problems = [
    ...moves.manual,
    ...when(
      incomplete !== undefined,
      `The search for state is incomplete: ${incomplete}. Check the disk (dmesg), and run prepare again.`,
    ),
    ...invalidLines(accepted),
    ...when(unkept !== undefined, unkept ?? ''),
    ...waysOut(look, findings),
    ...(typeof packages === 'string' ? [`Files of packages cannot be recognised: ${packages}.`] : []),
  ];
  const step = (state: Planned['state'], why: string[], actions: Action[] = []): Planned => ({
    ...stepOf(state, why, actions),
    ...(findings.length === 0 ? {} : { stateFindings: findings, copyable: copyableLines(look, findings) }),
  });
  const why = [...moves.why, ...outdated.why, ...problems];
  if (moves.manual.length > 0) return step('blocked', why);
  if (moves.actions.length > 0 && unkept !== undefined) return step('blocked', why);
  const actions = [...acceptance, ...outdated.actions, ...moves.actions];
  if (actions.length > 0) {
    const sentence = 'A sealed boot may reset what --accept names.';
    return step('needed', [...when(acceptance.length > 0, sentence), ...why], actions);
  }
  if (problems.length > 0) return step('by hand', [...why, ...moves.planned]);
  if (moves.planned.length > 0) return step('at next boot', [...moves.planned, ...moves.why]);
  return step('done', [summaryOf(look, accepted), ...moves.why]);
}

/** Reads the owners of the files of some groups, for an image, in which no changes are searched for. */
function readOwnersOf(
  { reader, settings }: Snapshot,
  groups: readonly StateGroup[],
): Promise<Packages | string> {
  const candidates = groups.flatMap((group) => group.candidates.map(({ path }) => path));
  const paths = new Set([...candidates, ...groups.flatMap(({ directories }) => [...directories])]);
  return readPackages(
    reader,
    (path) => paths.has(path),
    () => settings.progress('Reading the package database'),
  );
}

/** Returns what a sealed boot resets or cannot write, without what has been decided. */
function stateArea(
  look: Snapshot,
  accepted: Accepted,
  tops: readonly string[],
  moved: readonly string[],
  declarations: readonly Declaration[],
): StateArea {
  const { config, settings } = look;
  const decided = [
    ...words(config.SCRATCH).map(pathOf),
    ...[...persistedFolders(config), ...moved, ...accepted.paths, ...settings.acceptPaths],
  ];
  const isDecided = (path: string) => decided.some((each) => isBelow(path, each));
  const isExpendable = expendableFiles(look.reader, config, () => declarations);
  return {
    isExpendable,
    roots: [...layeredRoots(look), ...tops].filter((root) => !isDecided(root)),
    tops,
    decided,
  };
}

function summaryOf(look: Snapshot, { paths }: Accepted): string {
  const kept = persistedFolders(look.config);
  const accepted = paths.filter((path) => isReset(look, path));
  return [
    'All state that was found is kept, or its loss is accepted.',
    ...when(kept.length > 0, `Kept: ${shortList(kept, ' ', 8)}.`),
    ...when(accepted.length > 0, `Reset, as accepted: ${shortList(accepted, ' ', 8)}.`),
  ].join(' ');
}
