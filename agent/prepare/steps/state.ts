import { configFile, words } from '../../config/config.ts';
import { formatBytes, shortList, minute } from '../../lib/format.ts';
import { unlessRefusedLater } from '../../system/image.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { type Planned, stepOf, when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action, StateFinding } from '../engine/step.ts';
import { type Accepted, readAccepted } from '../../config/accepted.ts';
import { invalidLines, planAcceptance } from './accepted.ts';
import { openForWriting } from './processes.ts';
import { isReset, layeredRoots, planOverlays } from './layers.ts';
import { noPackages, readPackages } from './packages.ts';
import { readDeclarations } from '../../facts/declared-directories.ts';
import { type Evidence, type StateArea, findState, searchState } from './state/findings.ts';
import { noMoves, planMoves } from './state/move.ts';
import { persistedFolders } from './persist.ts';
import { inspectWrites } from './writes/inspect.ts';
import { canOverlay } from './writes/proposal.ts';
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
  // No service can be stopped in an image, and no data disk is there.
  const moves = reader.image === undefined ? await planMoves(look) : noMoves;
  const area = stateArea(look, accepted, stateDirectories, moves.paths);
  const { groups, incomplete } = await searchState(reader, area, (directory) =>
    settings.progress(`Searching ${directory} for state`),
  );
  const openFiles = openForWriting(reader, area.roots);
  const candidates = groups.flatMap((group) => group.candidates.map(({ path }) => path));
  const paths = new Set([...candidates, ...groups.flatMap(({ directories }) => [...directories])]);
  const hasState = groups.length > 0;
  const packages = hasState
    ? await readPackages(reader, paths, () => settings.progress('Reading the package database'))
    : noPackages;
  const evidence: Evidence = {
    packages: typeof packages === 'string' ? noPackages : packages,
    openFiles,
    ...(hasState ? readDeclarations(reader, area.roots) : { declarations: [], units: [] }),
    tops: area.tops,
  };
  const findings = findState(reader, groups, evidence);
  const reset = settings.acceptPaths.filter((path) => isReset(look, path));
  const acceptance = planAcceptance(reader, accepted, reset);
  const problems = [
    ...moves.manual,
    ...when(
      incomplete !== undefined,
      `The search for state is incomplete: ${incomplete}. Check the disk (dmesg), and run prepare again.`,
    ),
    ...invalidLines(accepted),
    ...findings.map((finding) => describe(look, finding)),
    ...waysOut(look, findings),
    ...(typeof packages === 'string' ? [`Files of packages cannot be recognised: ${packages}.`] : []),
  ];
  const step = (state: Planned['state'], why: string[], actions: Action[] = []): Planned => ({
    ...stepOf(state, why, actions),
    ...(findings.length === 0 ? {} : { stateFindings: findings }),
  });
  const why = [...moves.why, ...problems];
  if (moves.manual.length > 0) return step('blocked', why);
  const actions = [...acceptance, ...moves.actions];
  if (actions.length > 0) {
    const sentence = 'A sealed boot may reset what --accept names.';
    return step('needed', [...when(acceptance.length > 0, sentence), ...why], actions);
  }
  if (problems.length > 0) return step('by hand', why);
  return step('done', [summaryOf(look, accepted), ...moves.why]);
}

/** Returns what a sealed boot resets or cannot write, without what has been decided. */
function stateArea(
  look: Snapshot,
  accepted: Accepted,
  stateDirectories: readonly string[],
  moved: readonly string[],
): StateArea {
  const { config, settings } = look;
  const decided = [
    ...words(config.SCRATCH).map(pathOf),
    ...[...persistedFolders(config), ...moved, ...accepted.paths, ...settings.acceptPaths],
  ];
  const isDecided = (path: string) => decided.some((each) => isBelow(path, each));
  const tops = [...planOverlays(look).targets, ...stateDirectories];
  return { roots: [...layeredRoots(look), ...tops].filter((root) => !isDecided(root)), tops, decided };
}

function describe(look: Snapshot, finding: StateFinding): string {
  const { service, name, directories, packages, files, openBy, declaredBy, unowned, changed } = finding;
  const { loses, advice, source } = finding;
  const facts = [
    ...finding.units.slice(0, 1),
    ...when(packages.length > 0, `package ${packages.join(', ')}`),
    `${files} ${files === 1 ? 'file' : 'files'}, ${formatBytes(finding.bytes)}, last written at ${minute(finding.lastWrite)}`,
    ...when(unowned > 0, `${unowned} of no package`),
    ...when(changed > 0, `${changed} changed since their installation`),
    ...when(openBy.length > 0, `open for writing by ${openBy.join(', ')}`),
    ...when(declaredBy.length > 0, `named by ${declaredBy.join(', ')}`),
  ];
  const place = service === null ? name : `${shortList(directories, ', ', 3)} (${name})`;
  const documented = source === null ? '' : ` See ${source}.`;
  const effect = directories.every((each) => isReset(look, each))
    ? `A reboot would lose ${loses}`
    : `A sealed boot cannot write here; with OVERLAY, a reboot would lose ${loses}`;
  return `${place}: ${facts.join('; ')}. ${effect}.${advice === '' ? '' : ` ${advice}`}${documented}`;
}

/** Returns what an administrator can do about the findings, as lines that can be pasted. */
function waysOut(look: Snapshot, findings: readonly StateFinding[]): string[] {
  if (findings.length === 0) return [];
  const { config } = look;
  const overlays = words(config.OVERLAY);
  const directories = findings.flatMap((finding) => finding.directories);
  const items = findings.flatMap(({ persist }) => persist);
  const single = findings.flatMap((finding) => (finding.persist.length === 0 ? finding.directories : []));
  const overlaid = directories.filter((directory) => overlays.map(pathOf).includes(directory));
  const outside = directories.filter((directory) => !isReset(look, directory));
  const layers = outside.filter((directory) => canOverlay(look.reader, directory));
  const before = [
    ...when(
      config.PERSIST_STORE === '',
      `set PERSIST_STORE in ${configFile} to a directory on a data disk that the host leaves writable`,
    ),
    ...when(overlaid.length > 0, `remove ${shortList(overlaid, ' ', 8)} from OVERLAY`),
  ];
  const first = before.length === 0 ? '' : `, ${before.join(', ')}, and then`;
  return [
    ...when(
      items.length > 0,
      `To keep all of it${first}: immutafs-agent prepare --apply --only state --move-state ${[...new Set(items)].join(' ')}; or mount a file system of a data disk on each directory.`,
    ),
    ...when(
      single.length > 0,
      `PERSIST cannot keep a single file, which programs replace by renaming, nor a name with blanks or special characters: configure the program to write ${shortList(single, ', ', 3)} in a directory of its own.`,
    ),
    ...when(
      layers.length > 0,
      `To reset what is outside of /var, also set OVERLAY=${[...overlays, ...layers].join(' ')}. Without it, a sealed boot cannot write there.`,
    ),
    `To let a sealed boot reset it: immutafs-agent prepare --apply --only state${outside.length === 0 ? '' : ' writes'} --accept ${directories.map(shellWord).join(' ')}`,
  ];
}

/** Quotes a path for a shell: an administrator pastes the line, and a service may have chosen the name. */
function shellWord(path: string): string {
  return /^[\w./@+:-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

function summaryOf(look: Snapshot, { paths }: Accepted): string {
  const kept = persistedFolders(look.config);
  const accepted = paths.filter((path) => isReset(look, path));
  return [
    'A reboot loses nothing that is undecided.',
    ...when(kept.length > 0, `Kept: ${shortList(kept, ' ', 8)}.`),
    ...when(accepted.length > 0, `Reset, as accepted: ${shortList(accepted, ' ', 8)}.`),
  ].join(' ');
}
