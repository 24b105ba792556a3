import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { SystemError } from '../../lib/errors.ts';
import { pathOf } from '../../config/keys.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type ActionOf, type Context, type Executors, type Tools, contextOf } from '../engine/context.ts';
import { linesOf } from '../engine/fstab.ts';
import { textBefore } from '../engine/part.ts';
import { type Volume, expectUsable, volumeOn } from '../home/inspect.ts';
import { homeMount } from '../home/migration.ts';
import { fileOf } from './config.ts';
import { type Move, type Moves, describeTask, planTasks, readMoves } from '../move/record.ts';
import { formatBytes } from '../../lib/format.ts';
import { sizeOfDirectory } from '../move/requirements.ts';
import { notEmpty, whyNotReturned } from './tasks.ts';
import { clearViews, fileSystemOf, mountVolume } from '../move/views.ts';

/** The executors of `prepare` that record tasks. None of them reads or changes what moves. */
export const planningExecutors: Pick<
  Executors,
  'plan-state' | 'plan-home' | 'plan-rest' | 'plan-purge' | 'plan-clean-var'
> = {
  'plan-state': { execute: planState },
  'plan-home': { execute: planHome },
  'plan-rest': { execute: (context, action) => setTask(context, action.path, 'move') },
  'plan-purge': { execute: (context, action) => setTask(context, action.path, 'purge') },
  'plan-clean-var': {
    execute: (context) => {
      const moves = readMoves(context.reader);
      moves.cleanVar = true;
      planTasks(context, moves);
      context.say('The next maintenance boot rotates logs.');
    },
  },
};

async function planState(context: Context, { item, store }: ActionOf<'plan-state'>): Promise<void> {
  const { reader } = context;
  // The store may not exist yet; the directory above it is on its file system.
  const above = reader.stat(store) === undefined ? path.dirname(store) : store;
  const move = await newMove(reader, 'state', pathOf(item), await fileSystemOf(reader, above));
  add(context, { ...move, item, store });
}

async function planHome(context: Context, { disk }: ActionOf<'plan-home'>): Promise<void> {
  const { reader } = context;
  // The file system may be new, and not recorded yet.
  const volume = (await expectUsable(context, disk, true)).volume ?? (await volumeOn(reader, disk));
  if (volume === undefined) throw new SystemError(`${disk} has no file system: run prepare again`);
  const move = await newMove(reader, 'home', '/home', volume.uuid);
  if (move.phase === 'planned') await expectEmpty(context, volume);
  const own = homeMount(readMountTable(reader));
  const [line] = linesOf(textBefore(reader, move.file) ?? '', '/home');
  if (own !== undefined) move.origin.volume = line?.source ?? own.source;
  add(context, { ...move, type: volume.type });
}

/** Returns a planned move. An earlier attempt of the same move is continued. */
async function newMove(
  reader: SystemReader,
  kind: Move['kind'],
  directory: string,
  fs: string,
): Promise<Move> {
  const { inode = null, uid = -1, gid = -1 } = reader.stat(directory) ?? {};
  const origin = { fs: await fileSystemOf(reader, directory), inode, uid, gid, volume: null };
  const earlier = readMoves(reader).moves.find(
    (each) => each.path === directory && each.place.fs === fs && each.phase === 'copying',
  );
  return {
    ...{ id: randomUUID(), kind, path: directory, item: '', store: '', type: '', origin },
    ...{ place: { fs, inode: null }, file: fileOf(kind), before: null, after: null, content: null },
    ...{ phase: earlier?.phase ?? 'planned', task: 'move', at: null, problem: null, purged: false },
  };
}

async function expectEmpty(context: Context, volume: Volume): Promise<void> {
  await clearViews(context);
  try {
    const root = await mountVolume(context, volume, 'new');
    const found = context.reader.list(root).filter((name) => name !== 'lost+found');
    if (found.length > 0) throw new SystemError(notEmpty(volume.uuid, found));
  } finally {
    await clearViews(context);
  }
}

function add(context: Context, move: Move): void {
  const moves = readMoves(context.reader);
  const others = moves.moves.filter(({ path: each }) => each !== move.path);
  planTasks(context, { ...moves, moves: [...others, move] });
  context.say(describeTask(move));
}

function setTask(context: Context, directory: string, task: NonNullable<Move['task']>): void {
  const moves = readMoves(context.reader);
  const move = moves.moves.find((each) => each.path === directory);
  if (move === undefined) throw new SystemError(`${directory} was not moved: run prepare again`);
  Object.assign(move, { task, problem: null });
  planTasks(context, moves);
  context.say(describeTask(move));
}

/** Whether a move has begun to change what a boot uses. */
const isInPlace = ({ phase }: Move) => phase !== 'planned' && phase !== 'copying';

/**
 * Withdraws what is only planned. If something has been moved, records that the next maintenance boot moves it back, and
 * restores the files afterwards.
 * @returns true if nothing was moved, so that the files can be restored now
 */
export async function planReturn(tools: Tools): Promise<boolean> {
  const moves = readMoves(tools.reader);
  const moved = moves.moves.filter(isInPlace);
  const reasons: string[] = [];
  for (const move of moved) reasons.push(...(await findObstacles(tools, move)));
  if (reasons.length > 0) {
    for (const reason of reasons) tools.say(`Nothing is undone: ${reason}`);
    return false;
  }
  for (const { path: each, task } of moves.moves)
    if (task !== null) tools.say(`${each}: what was planned for the next boot is withdrawn`);
  for (const move of moved) Object.assign(move, { task: 'return', problem: null });
  const rest: Moves = {
    ...moves,
    moves: moved,
    cleanVar: false,
    restoreFiles: moved.length > 0,
    rehearse: null,
  };
  planTasks(tools, rest);
  for (const move of moved) tools.say(describeTask(move));
  if (moved.length > 0)
    tools.say(
      'Then it restores the files that prepare has changed. Nothing is changed before a reboot: systemctl reboot',
    );
  return moved.length === 0;
}

async function findObstacles(tools: Tools, move: Move): Promise<string[]> {
  const { reader } = tools;
  const reason = await whyNotReturned(contextOf(tools), move);
  if (reason !== undefined) return [reason];
  // The old content is overwritten, so that it takes the space that it has, unless it was removed.
  if (!move.purged) return [];
  const mounts = readMountTable(reader);
  const { sizeBytes, usedBytes } = reader.usage(path.dirname(move.path));
  const needed = await sizeOfDirectory(reader, mounts, move.path, sizeBytes - usedBytes);
  if (needed === undefined || needed <= sizeBytes - usedBytes) return [];
  return [
    `${move.path} takes ${formatBytes(needed)}, and the system disk has room for ${formatBytes(sizeBytes - usedBytes)}.`,
  ];
}
