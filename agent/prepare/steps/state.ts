import { configFile, words } from '../../config/config.ts';
import { resetDirectories } from '../../config/overlay-paths.ts';
import { formatBytes, shortList, minute } from '../../lib/format.ts';
import { unlessRefusedLater } from '../../system/image.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { StateFinding, Step } from '../engine/step.ts';
import { type Accepted, acceptedFile, readAccepted } from '../../config/accepted.ts';
import { planAcceptance } from './accepted.ts';
import { openForWriting } from './open-files.ts';
import { planOverlays } from './overlays.ts';
import { noPackages, readPackages } from './packages.ts';
import { readDeclarations } from '../../facts/declared-directories.ts';
import { type Evidence, findState } from './state/findings.ts';
import { noMoves, planMoves } from './state/move.ts';
import { type StateArea, searchState } from './state/search.ts';
import { isLayered } from './var-layer.ts';
import { persistedFolders } from './writes/area.ts';
import { type Inspection, inspectWrites } from './writes/inspect.ts';
import { canOverlay } from './writes/proposal.ts';
import { pathOf } from '../../config/keys.ts';

/**
 * Plans the step `state`. It is done if all state that a sealed boot would reset is either kept (PERSIST, or a file system on
 * a data disk) or accepted by an administrator (--accept).
 */
export async function planState(look: Snapshot): Promise<Step> {
  const { reader, settings } = look;
  const inspected = await unlessRefusedLater(() => inspectWrites(look));
  const { accepted: before, ...inspection } = inspected ?? {
    accepted: readAccepted(reader),
    stateDirectories: [],
  };
  // No service can be stopped in an image, and no data disk is there.
  const moves = reader.image === undefined ? await planMoves(look) : noMoves;
  const area = stateArea(look, before, inspection, moves.paths);
  const { groups, incomplete } = await searchState(reader, area, (directory) =>
    settings.progress(`Searching ${directory} for state`),
  );
  const openFiles = openForWriting(reader, area.roots);
  const packages =
    groups.length === 0
      ? noPackages
      : await readPackages(reader, pathsOf(groups), () => settings.progress('Reading the package database'));
  const evidence: Evidence = {
    packages: typeof packages === 'string' ? noPackages : packages,
    openFiles,
    ...(groups.length === 0 ? { declarations: [], units: [] } : readDeclarations(reader, area.roots)),
    tops: area.tops,
  };
  const findings = findState(reader, groups, evidence);
  const acceptance = planAcceptance(
    reader,
    before,
    settings.acceptPaths.filter((path) => isReset(look, path)),
  );
  const problems = [
    ...moves.problems,
    ...(incomplete === undefined
      ? []
      : [
          `The search for state is incomplete: ${incomplete}. Check the disk (dmesg), and run prepare again.`,
        ]),
    ...before.invalid.map(
      (line) => `${acceptedFile}:${line}: neither a path nor "until TIME". Correct or remove the line.`,
    ),
    ...findings.map((finding) => describe(look, finding)),
    ...waysOut(look, findings),
    ...(typeof packages === 'string' ? [`Files of packages cannot be recognised: ${packages}.`] : []),
  ];
  const data = findings.length === 0 ? {} : { stateFindings: findings };
  const why = [...moves.why, ...problems];
  if (moves.problems.length > 0) return { id: 'state', state: 'blocked', why, actions: [], ...data };
  if (acceptance.length + moves.actions.length > 0) {
    const accepted = acceptance.length === 0 ? [] : ['A sealed boot may reset what --accept names.'];
    const actions = [...acceptance, ...moves.actions];
    return { id: 'state', state: 'needed', why: [...accepted, ...why], actions, ...data };
  }
  if (problems.length > 0) return { id: 'state', state: 'by hand', why, actions: [], ...data };
  return { id: 'state', state: 'done', why: [summaryOf(look, before), ...moves.why], actions: [] };
}

/** Returns what a sealed boot resets or cannot write, without what has been decided. */
function stateArea(
  look: Snapshot,
  accepted: Accepted,
  { stateDirectories }: Pick<Inspection, 'stateDirectories'>,
  moved: readonly string[],
): StateArea {
  const { mounts, config, settings } = look;
  const overlays = planOverlays(look).targets;
  const below = mounts.all
    .filter((mount) => isBelow(mount.target, '/var') && mount.type !== 'overlay' && !mounts.hidden.has(mount))
    .map(({ target }) => target);
  const inVar = [...new Set(['/var', ...below])].filter((root) => isLayered(look, root));
  const decided = [
    ...words(config.SCRATCH).map(pathOf),
    ...[...persistedFolders(config), ...moved, ...accepted.paths, ...settings.acceptPaths],
  ];
  const isDecided = (path: string) => decided.some((each) => isBelow(path, each));
  const tops = [...overlays, ...stateDirectories];
  return { roots: [...inVar, ...tops].filter((root) => !isDecided(root)), tops, decided };
}

/** Whether a sealed boot resets a path. */
export function isReset({ config }: Snapshot, path: string): boolean {
  return resetDirectories(config).some((directory) => isBelow(path, directory));
}

function pathsOf(groups: Awaited<ReturnType<typeof searchState>>['groups']): Set<string> {
  const paths = new Set<string>();
  for (const { directories, candidates } of groups) {
    for (const directory of directories) paths.add(directory);
    for (const { path } of candidates) paths.add(path);
  }
  return paths;
}

/** Describes a finding: what is there, the evidence, what a reboot loses, what to do, and where that is documented. */
function describe(look: Snapshot, finding: StateFinding): string {
  const { service, name, directories, units, packages, files, bytes, lastWrite, openBy, declaredBy } =
    finding;
  const { unowned, changed, loses, advice, source } = finding;
  const facts = [
    ...units.slice(0, 1),
    ...(packages.length === 0 ? [] : [`package ${packages.join(', ')}`]),
    `${files} ${files === 1 ? 'file' : 'files'}, ${formatBytes(bytes)}, last written at ${minute(lastWrite)}`,
    ...(unowned === 0 ? [] : [`${unowned} of no package`]),
    ...(changed === 0 ? [] : [`${changed} changed since their installation`]),
    ...(openBy.length === 0 ? [] : [`open for writing by ${openBy.join(', ')}`]),
    ...(declaredBy.length === 0 ? [] : [`named by ${declaredBy.join(', ')}`]),
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
  const single = findings
    .filter(({ persist }) => persist.length === 0)
    .flatMap((finding) => finding.directories);
  const overlaid = directories.filter((directory) => overlays.map(pathOf).includes(directory));
  const outside = directories.filter((directory) => !isReset(look, directory));
  const layers = outside.filter((directory) => canOverlay(look.reader, directory));
  const before = [
    ...(config.PERSIST_STORE === ''
      ? [`set PERSIST_STORE in ${configFile} to a directory on a data disk that the host leaves writable`]
      : []),
    ...(overlaid.length === 0 ? [] : [`remove ${shortList(overlaid, ' ', 8)} from OVERLAY`]),
  ].join(', ');
  const first = before === '' ? '' : `, ${before}, and then`;
  return [
    ...(items.length === 0
      ? []
      : [
          `To keep all of it${first}: immutafs-agent prepare --apply --only state --move-state ${[...new Set(items)].join(' ')}; or mount a file system of a data disk on each directory.`,
        ]),
    ...(single.length === 0
      ? []
      : [
          `PERSIST cannot keep a single file, which programs replace by renaming, nor a name with blanks or special characters: configure the program to write ${shortList(single, ', ', 3)} in a directory of its own.`,
        ]),
    ...(layers.length === 0
      ? []
      : [
          `To reset what is outside of /var, also set OVERLAY=${[...overlays, ...layers].join(' ')}. Without it, a sealed boot cannot write there.`,
        ]),
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
    ...(kept.length === 0 ? [] : [`Kept: ${shortList(kept, ' ', 8)}.`]),
    ...(accepted.length === 0 ? [] : [`Reset, as accepted: ${shortList(accepted, ' ', 8)}.`]),
  ].join(' ');
}
