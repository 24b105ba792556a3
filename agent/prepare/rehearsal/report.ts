import { when } from '../engine/part.ts';
import { stateRuleOf } from '../../services/state-rules.ts';
import { persistItem } from '../../facts/security/places.ts';
import { type Config, words } from '../../config/config.ts';
import type { RehearsalReport, Request, Baseline, Growth, Observation } from './record.ts';
import { pathOf } from '../../config/keys.ts';
import { proposeScratch } from '../../assess/scratch-proposal.ts';
import type { Denial } from './audit-watch.ts';
import { refusalKey } from './request.ts';
import type { Refusal } from './journal-watch.ts';
import { type Remedy, remedyFor, topmost } from './refused-writes.ts';
import type { UnitStates } from './units.ts';

/** The state of the rehearsal that the report adds to what was seen. */
export interface State extends Pick<
  RehearsalReport,
  'bootId' | 'began' | 'savedAt' | 'uptimeSeconds' | 'endedBy' | 'settledSeconds' | 'sources'
> {
  /** The number of refused writes that were not kept. */
  omitted: number;
}

/** Builds the report. Pure. */
export function buildReport(
  request: Pick<Request, 'id' | 'limitSeconds' | 'baseline'>,
  state: State,
  seen: Seen,
  context: Omit<Context, 'baseline' | 'writable'>,
): RehearsalReport {
  const { config } = context;
  const writable = [config.OVERLAY, config.SCRATCH].flatMap(words).map(pathOf);
  const found = compare(seen, { ...context, baseline: request.baseline, writable });
  const blocking = found.observations.filter((each) => each.blocking);
  const folders = topmost(blocking.flatMap(({ folder }) => folder ?? []));
  // An overlay would lose the state of a known service at every reboot.
  const resettable = folders.filter((folder) => stateRuleOf(folder)?.kind !== 'state');
  const { bootId, began, savedAt, endedBy, sources } = state;
  const why = reasons(state, blocking.length);
  return {
    ...{ schema: 1, id: request.id, limitSeconds: request.limitSeconds },
    ...{ bootId, began, savedAt },
    uptimeSeconds: Math.round(state.uptimeSeconds),
    endedBy,
    settledSeconds: state.settledSeconds === null ? null : Math.round(state.settledSeconds),
    ready: why.length === 0,
    why,
    observations: found.observations,
    omitted: found.omitted + state.omitted,
    growth: seen.growth,
    add: {
      overlay: line('OVERLAY', config.OVERLAY, resettable),
      persistInstead: line('PERSIST', config.PERSIST, folders, persistItem),
    },
    sources,
  };
}

/** Returns the complete line with the folders added; empty if there are none to add. */
function line(
  key: string,
  present: string,
  folders: readonly string[],
  itemOf = (folder: string) => folder,
): string {
  const items = words(present);
  const known = new Set(items.map(pathOf));
  const added = folders.filter((folder) => !known.has(folder)).map(itemOf);
  return added.length === 0 ? '' : `${key}=${[...items, ...added].join(' ')}`;
}

function reasons({ settledSeconds, sources }: State, blocking: number): string[] {
  return [
    ...when(settledSeconds === null, 'The boot was not complete.'),
    ...when(blocking > 0, blocking === 1 ? '1 problem was found.' : `${blocking} problems were found.`),
    ...when(sources.journal !== '', `The journal could not be read: ${sources.journal}.`),
  ];
}

export interface Seen {
  units: UnitStates;
  refusals: readonly Refusal[];
  denials: readonly Denial[];
  growth: Growth | null;
  /** The required checks that do not pass, with what they observed. */
  failing: readonly { id: string; observed: string; remedy: string }[];
}

/** What the comparison needs to know about the guest. */
interface Context {
  baseline: Baseline;
  config: Pick<Config, 'OVERLAY' | 'PERSIST' | 'SCRATCH'>;
  /** The paths of OVERLAY and SCRATCH. */
  writable: readonly string[];
  /** Returns the nearest existing folder of a file; the path itself if it is a folder. */
  folderOf: (path: string) => string;
  lastMessages: (unit: string) => readonly string[];
}

const most = 200;
const shownPaths = 5;
/** If the layers are full sooner, the guest is not ready. */
const soon = 24 * 3600;

/** Compares what was seen in the rehearsal with the baseline. @returns the blocking observations first */
function compare(seen: Seen, context: Context): { observations: Observation[]; omitted: number } {
  const refused = refusedWrites(seen.refusals, context);
  const all = [
    ...failedUnits(seen.units, refused, context),
    ...refused,
    ...checks(seen),
    ...fullSoon(seen.growth, context),
    ...deniedWrites(seen.denials, refused, context),
    ...skippedUnits(seen.units, context),
  ].toSorted((a, b) => Number(b.blocking) - Number(a.blocking));
  return { observations: all.slice(0, most), omitted: Math.max(0, all.length - most) };
}

function failedUnits(
  { failed }: UnitStates,
  refused: readonly Observation[],
  { baseline, lastMessages }: Context,
): Observation[] {
  const before = new Set(baseline.failed);
  return [...failed]
    .filter(([unit]) => !before.has(unit))
    .map(([unit, result]) => {
      const writes = refused.filter(({ subject }) => subject === unit);
      const remedy = writes.map((write) => write.remedy).join(' ');
      const messages = lastMessages(unit);
      return {
        ...{ kind: 'failed', blocking: true, subject: unit, count: 1, folder: null, paths: [] },
        messages: messages.length > 0 ? [...messages] : [`Result: ${result}`],
        remedy: remedy || 'The unit did not fail in maintenance mode: find the cause in its messages.',
      };
    });
}

function refusedWrites(refusals: readonly Refusal[], context: Context): Observation[] {
  const known = new Set(context.baseline.refused);
  const groups = Map.groupBy(refusals, ({ unit, path: file }) => refusalKey(unit, file, context.folderOf));
  return [...groups]
    .filter(([group]) => !known.has(group))
    .map(([, [first, ...rest]]) => {
      const { unit = '', message = '', path: file = null } = first ?? {};
      const { harmless, folder, text } = remedyOf(file, context);
      return {
        ...{ kind: 'refused', blocking: !harmless, subject: unit, count: rest.length + 1, folder },
        paths: firstPaths([file, ...rest.map((each) => each.path)]),
        messages: [message],
        remedy: text,
      };
    });
}

/** Leaves out the folders that a program has reported, because these are among the refused writes. */
function deniedWrites(
  denials: readonly Denial[],
  refused: readonly Observation[],
  context: Context,
): Observation[] {
  const reported = new Set(refused.flatMap(({ paths }) => paths.map(context.folderOf)));
  const groups = Map.groupBy(denials, (each) => `${each.program} ${context.folderOf(each.path)}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined || reported.has(context.folderOf(first.path))) return [];
    const { harmless, folder, text } = remedyOf(first.path, context);
    if (harmless) return [];
    return [
      {
        ...{ kind: 'denied', blocking: false, subject: first.program, count: group.length, folder },
        paths: firstPaths(group.map((each) => each.path)),
        messages: [],
        remedy: `No message reports it, so the program may work without this write. Otherwise: ${text}`,
      },
    ];
  });
}

function remedyOf(file: string | null, { folderOf, writable }: Context): Remedy {
  return remedyFor(file, file === null ? '/' : folderOf(file), writable);
}

function firstPaths(files: readonly (string | null)[]): string[] {
  return [...new Set(files)].filter((file) => file !== null).slice(0, shownPaths);
}

function checks({ failing }: Seen): Observation[] {
  return failing.map(({ id, observed, remedy }) => ({
    ...{ kind: 'check', blocking: true, subject: id, paths: [], count: 1, folder: null },
    messages: [observed],
    remedy: remedy || `See immutafs-agent status --explain ${id}.`,
  }));
}

function fullSoon(growth: Growth | null, { folderOf, config }: Context): Observation[] {
  if (growth?.forecast.full !== 'in' || growth.forecast.seconds >= soon) return [];
  const paths = growth.largest.map((each) => each.path);
  const [first = '/var'] = paths;
  // PERSIST takes folders only.
  const folder = folderOf(first);
  const line = proposeScratch(config, paths);
  const scratch =
    line === undefined
      ? `name ${folder} in SCRATCH if its content may be lost`
      : `put ${folder} on a disk that is emptied at every reboot (${line})`;
  return [
    {
      ...{ kind: 'full', blocking: true, subject: '', count: 1, folder: null, paths, messages: [] },
      remedy: `Make the program that writes ${first} write less, keep ${folder} on a data disk (PERSIST=${persistItem(folder)}), ${scratch}, or increase VAR_SIZE or VAR_INODES.`,
    },
  ];
}

function skippedUnits({ skipped }: UnitStates, { baseline }: Context): Observation[] {
  const before = new Set([...baseline.skipped, ...baseline.failed]);
  return [...skipped]
    .filter((unit) => !before.has(unit) && !unit.startsWith('immutafs-'))
    .map((unit) => ({
      ...{ kind: 'skipped', blocking: false, subject: unit, paths: [], count: 1, folder: null },
      messages: [],
      remedy:
        'A condition of the unit (systemctl cat) is not met, for example because a path is read-only. Nothing has to be done if the guest does not need it.',
    }));
}
