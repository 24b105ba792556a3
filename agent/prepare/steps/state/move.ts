import { configFile, words } from '../../../config/config.ts';
import { formatBytes, shortList } from '../../../lib/format.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { persistItemOf } from '../../../facts/security/persist-item.ts';
import { type Part, join, when } from '../../engine/part.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { whyNotMoved } from '../../move/old-content.ts';
import {
  type Move,
  type PlaceInStore,
  describeFailure,
  describeTasks,
  placeInStore,
  readMoves,
} from '../../move/record.ts';
import { findNotCopied, missingPrograms, sizeOfDirectory } from '../../move/requirements.ts';
import { isKept, whyNotKept } from '../persist.ts';
import { editConfig } from '../writes/proposal.ts';
import { pathOf, itemOptions } from '../../../config/keys.ts';

interface PartOfPlan extends Partial<Part> {
  /** The item that is added to PERSIST and nothing else, because the first sealed boot copies the directory. */
  later?: string;
}

/**
 * The part of the step `state` that concerns --move-state and --purge-old-state. `manual`: what prevents a move. `paths`:
 * the paths that are moved. `planned`: what the next maintenance boot does.
 */
type MovePlan = Omit<Part, 'notes'> & { paths: string[]; planned: string[] };

export const noMoves: MovePlan = { why: [], manual: [], actions: [], paths: [], planned: [] };

/** What the first sealed boot may have to copy by itself within its limit of 300 s, in bytes. */
const mostForBoot = 1024 ** 3;

/** Plans the moves that the command line names, the rest of interrupted moves, and the removal of old content. */
export async function planMoves(look: Snapshot): Promise<MovePlan> {
  const recorded = readMoves(look.reader).moves.filter(({ kind }) => kind === 'state');
  const waiting = recorded.filter(({ task }) => task !== null);
  const items = look.settings.moveState
    .map((item) => (item.includes(':') ? item : persistItemOf(item)))
    .filter((item) => !waiting.some(({ path }) => path === pathOf(item)));
  const plans: PartOfPlan[] = [finish(look, recorded, items.map(pathOf))];
  const planned = waiting.filter(({ task }) => task === 'move').map(({ path }) => path);
  const moving = [...planned, ...items.map(pathOf)];
  for (const item of items) plans.push(await planMove(look, item, moving));
  plans.unshift(planEdit(look, plans));
  if (items.length > 0) plans.push({ manual: missingPrograms(look.reader, false) });
  const { why, manual, actions } = join(...plans);
  const paths = [...items.map(pathOf), ...waiting.map(({ path }) => path)];
  return {
    ...{ why: [...new Set(why)], manual: [...new Set(manual)], actions, paths },
    planned: describeTasks(look.reader, waiting),
  };
}

/** @param moving the paths that move in the next maintenance boot */
async function planMove(look: Snapshot, asked: string, moving: readonly string[]): Promise<PartOfPlan> {
  const { reader, mounts, config } = look;
  const store = config.PERSIST_STORE;
  const items = words(config.PERSIST);
  const named = items.find((each) => pathOf(each) === pathOf(asked));
  const item = named ?? asked;
  const place = placeInStore({ path: pathOf(item), store });
  const { path, final, copy } = place;
  if (named !== undefined && isKept(mounts, place)) return {};
  const unkept = (await whyNotKept(reader, path, item.slice(path.length + 1))) ?? whyNotMoved(reader, path);
  const manual =
    unkept === undefined ? [...nested(items, path), ...nestedMoves(moving, path)] : [`${path} ${unkept}`];
  if (manual.length > 0) return { manual };
  if (isAutostart(item)) return planLater(look, item, place, named !== undefined);
  if (reader.stat(final) !== undefined) {
    const use = `to use it, add ${item} to PERSIST in ${configFile} and reboot`;
    return {
      manual: [`${final} exists from an earlier use of PERSIST: ${use}; otherwise rename or remove it.`],
    };
  }
  const { blockers, notes } = await findNotCopied(reader, mounts, path);
  return {
    why: [`${path} moves to ${final} in the next maintenance boot.`, ...notes],
    manual: [...blockers, ...(await tooSmall(look, path, store, copy))],
    actions: [{ do: 'plan-state', item, store }],
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

function nestedMoves(moving: readonly string[], path: string): string[] {
  return moving.flatMap((other) => [
    ...when(other !== path && isBelow(path, other), `${path} moves already, as a part of ${other}.`),
    ...when(
      other !== path && isBelow(other, path),
      `${path} contains ${other}, which moves, too: name only one of them.`,
    ),
  ]);
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

/** Plans what remains of moves: they are completed, or their old content is removed. */
function finish({ settings }: Snapshot, moves: readonly Move[], named: readonly string[]): PartOfPlan {
  const begun = moves.filter(({ task, phase }) => task === null && phase === 'switching');
  const aside = moves.filter(
    ({ task, phase, purged, problem }) => task === null && phase === 'moved' && !(purged && problem === null),
  );
  const paths = aside.map(({ path }) => path);
  const failed = moves.filter(({ path, problem }) => problem !== null && !named.includes(path));
  const isPurged = settings.purgeOldState === true;
  return {
    why: [
      ...failed.map((move) => `${describeFailure(move)}.`),
      ...when(
        paths.length > 0,
        `The old content of ${shortList(paths, ', ', 8)} is still on the system disk${isPurged ? '.' : '; --purge-old-state removes it.'}`,
      ),
    ],
    actions: [
      ...begun.map(({ path }) => ({ do: 'plan-rest', path }) as const),
      ...(isPurged ? aside.map(({ path }) => ({ do: 'plan-purge', path }) as const) : []),
    ],
  };
}
