import { configFile, words } from '../../../config/config.ts';
import { formatBytes, shortList } from '../../../lib/format.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { persistItemOf } from '../../../facts/security/places.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { readActionLog } from '../../engine/action-log.ts';
import { type Part, join, when } from '../../engine/part.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { type Action, type PlaceInStore, placeInStore } from '../../engine/step.ts';
import { readUnsettled } from '../../move/moving.ts';
import { findNotCopied, missingPrograms, sizeOfDirectory } from '../../move/requirements.ts';
import { describeHandleOwners } from '../../move/open-handles.ts';
import { servicesOf, whyNotStopped } from '../../move/units.ts';
import { findUsers } from '../../move/users.ts';
import { isKept, whyNotKept } from '../persist.ts';
import { editConfig } from '../writes/proposal.ts';
import { whyNotMoved } from './old-content.ts';
import { pathOf, itemOptions } from '../../../config/keys.ts';

interface PartOfPlan extends Partial<Part> {
  /** The item that is added to PERSIST and nothing else, because the first sealed boot copies the directory. */
  later?: string;
}

/**
 * The part of the step `state` that concerns --move-state and --purge-old-state. `manual`: what prevents a move. `paths`:
 * the paths that are moved.
 */
type MovePlan = Omit<Part, 'notes'> & { paths: string[] };

export const noMoves: MovePlan = { why: [], manual: [], actions: [], paths: [] };

/** What the first sealed boot may have to copy by itself within its limit of 300 s, in bytes. */
const mostForBoot = 1024 ** 3;

/** Plans the moves that the command line names, the rest of interrupted moves, and the removal of old content. */
export async function planMoves(look: Snapshot): Promise<MovePlan> {
  const items = look.settings.moveState.map((item) => (item.includes(':') ? item : persistItemOf(item)));
  const moved = readMoved(look);
  const plans: PartOfPlan[] = [finish(look, moved, items.map(pathOf))];
  for (const item of items) plans.push(await planMove(look, item));
  plans.unshift(planEdit(look, plans));
  if (items.length > 0) plans.push({ manual: missingPrograms(look.reader, false) });
  const { why, manual, actions } = join(...plans);
  return { why: [...new Set(why)], manual: [...new Set(manual)], actions, paths: items.map(pathOf) };
}

async function planMove(look: Snapshot, asked: string): Promise<PartOfPlan> {
  const { reader, mounts, config } = look;
  const store = config.PERSIST_STORE;
  const items = words(config.PERSIST);
  const named = items.find((each) => pathOf(each) === pathOf(asked));
  const item = named ?? asked;
  const place = placeInStore({ item, store });
  const { path, final, copy } = place;
  const actions: Action[] = [
    { do: 'copy-state', item, store },
    { do: 'verify-state', item, store },
    { do: 'switch-state', item, store, file: configFile, before: null, after: null },
    { do: 'clear-state', item, store },
  ];
  if (named !== undefined && isKept(mounts, place)) return {};
  if (readUnsettled(reader)?.path === path)
    return { why: [`The interrupted move of ${path} is continued.`], actions };
  const unkept = (await whyNotKept(reader, path, item.slice(path.length + 1))) ?? whyNotMoved(reader, path);
  const manual = unkept === undefined ? nested(items, path) : [`${path} ${unkept}`];
  if (manual.length > 0) return { manual };
  if (isAutostart(item)) return planLater(look, item, place, named !== undefined);
  if (reader.stat(final) !== undefined) {
    const use = `to use it, add ${item} to PERSIST in ${configFile} and reboot`;
    return {
      manual: [`${final} exists from an earlier use of PERSIST: ${use}; otherwise rename or remove it.`],
    };
  }
  const { blockers, notes } = await findNotCopied(reader, mounts, path);
  const users = await findUsers(reader, path);
  const { services, others } = servicesOf(reader, users);
  const unstoppable = services.flatMap((service) => {
    const reason = whyNotStopped(reader, service);
    return reason === undefined ? [] : [`${service} uses ${path}, and ${reason}.`];
  });
  const used = when(
    others.length > 0,
    `In use by processes of no service: ${describeHandleOwners(others)}. End them first.`,
  );
  const stops =
    services.length === 0
      ? ''
      : ` For the last part of the copy, ${shortList(services, ', ', 8)} ${services.length === 1 ? 'is' : 'are'} stopped.`;
  return {
    why: [`${path} moves to ${final}.${stops}`, ...notes, ...used],
    manual: [...blockers, ...users.lasting, ...unstoppable, ...(await tooSmall(look, path, store, copy))],
    actions,
  };
}

/** Whether maintenance boots use the content of the system disk (docs/writable-paths.md, "Options"). */
function isAutostart(item: string): boolean {
  const options = itemOptions(item);
  return options.includes('autostart') && !options.includes('maintenance');
}

/**
 * Plans a directory that only sealed boots mount. A copy made now would lack what is written until the guest is sealed, so
 * that the first sealed boot makes it.
 */
async function planLater(
  look: Snapshot,
  item: string,
  { path }: PlaceInStore,
  isNamed: boolean,
): Promise<PartOfPlan> {
  const { reader, mounts } = look;
  const bytes = (await sizeOfDirectory(reader, mounts, path, mostForBoot)) ?? Infinity;
  const because = `Programs may be started from ${path}, so that maintenance boots use the content of the system disk`;
  if (bytes > mostForBoot) {
    const size = bytes === Infinity ? 'too much' : formatBytes(bytes);
    return {
      manual: [
        `${because}, and the first sealed boot would have to copy it: ${size}. Name a directory below it that is only data, or move it with --move-state ${item},maintenance, which mounts it in maintenance boots, too: what root wrote there in a sealed boot can then change the system disk.`,
      ],
    };
  }
  return isNamed ? {} : { why: [`${because}; the first sealed boot copies it.`], later: item };
}

/** Plans one edit for all that the first sealed boot copies. It comes before the moves, which change PERSIST, too. */
function planEdit({ reader, config }: Snapshot, plans: readonly PartOfPlan[]): PartOfPlan {
  const later = plans.flatMap((plan) => plan.later ?? []);
  if (later.length === 0) return {};
  const actions = editConfig(reader, { PERSIST: [...words(config.PERSIST), ...later].join(' ') });
  return typeof actions === 'string' ? { manual: [actions] } : { actions };
}

function nested(items: readonly string[], path: string): string[] {
  return items.map(pathOf).flatMap((other) => {
    if (other === path) return [];
    if (isBelow(path, other)) return [`${path} is kept already, as a part of ${other}.`];
    return when(
      isBelow(other, path),
      `${path} contains ${other}, which PERSIST keeps: name the directories beside it.`,
    );
  });
}

async function tooSmall(
  { reader, mounts }: Snapshot,
  path: string,
  store: string,
  copy: string,
): Promise<string[]> {
  // --apply measures what an interrupted run has copied.
  if (reader.stat(copy) !== undefined) return [];
  const { sizeBytes, usedBytes } = reader.usage(mounts.serving(store)?.target ?? '/');
  const free = sizeBytes - usedBytes;
  const needed = await sizeOfDirectory(reader, mounts, path, free);
  if (needed === undefined || needed <= free) return [];
  return [
    `PERSIST_STORE is too small: ${path} takes ${formatBytes(needed)}, ${store} has room for ${formatBytes(free)}.`,
  ];
}

/** A directory that was moved, with the last of its actions that succeeded. */
interface Moved {
  place: PlaceInStore;
  item: string;
  last: 'switch-state' | 'clear-state' | 'purge-state';
}

/** Reads the moves from the action log. Their mounts show which of them are complete. */
function readMoved({ reader, mounts, config }: Snapshot): Moved[] {
  const moved = new Map<string, Moved>();
  for (const { action, ended, problem } of readActionLog(reader)) {
    if (!('item' in action) || action.do === 'copy-state' || action.do === 'verify-state') continue;
    if (action.do !== 'switch-state' && (ended === null || problem !== null)) continue;
    const { item } = action;
    const place = placeInStore({ item, store: config.PERSIST_STORE });
    moved.set(place.path, { place, item, last: action.do });
  }
  return [...moved.values()].filter(({ place }) => isKept(mounts, place));
}

/** Plans what remains of moves: the old content is moved aside or removed. */
function finish(
  { reader, config, settings }: Snapshot,
  moved: readonly Moved[],
  named: readonly string[],
): PartOfPlan {
  const store = config.PERSIST_STORE;
  const left = readUnsettled(reader)?.path;
  const begun = moved.filter(({ place, last }) => last === 'switch-state' || place.path === left);
  const aside = moved.filter((each) => each.last === 'clear-state' && !begun.includes(each));
  const paths = aside.map(({ place }) => place.path);
  const isPurged = settings.purgeOldState;
  return {
    why: [
      ...begun.map(({ place }) => `The move of ${place.path} is completed.`),
      ...when(
        paths.length > 0,
        `The old content of ${shortList(paths, ', ', 8)} is still on the system disk${isPurged ? '.' : '; --purge-old-state removes it.'}`,
      ),
    ],
    manual: interrupted(reader, named, moved),
    actions: [
      ...begun.map(({ item }) => ({ do: 'clear-state', item, store }) as const),
      ...(isPurged ? aside.map(({ item }) => ({ do: 'purge-state', item, store }) as const) : []),
    ],
  };
}

/** Names a move that was killed, unless this run continues it. */
function interrupted(reader: SystemReader, named: readonly string[], moved: readonly Moved[]): string[] {
  const left = readUnsettled(reader);
  if (left === undefined || left.store === null || named.includes(left.path)) return [];
  if (moved.some(({ place }) => place.path === left.path)) return [];
  const stopped = left.units.length === 0 ? '' : ` These units are stopped: ${left.units.join(', ')}.`;
  return [
    `A move of ${left.path} was interrupted.${stopped} To continue it: immutafs-agent prepare --apply --only state --move-state ${left.path}; to end it: immutafs-agent prepare --undo`,
  ];
}
