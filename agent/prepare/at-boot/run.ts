import { SystemError, errorMessage } from '../../lib/errors.ts';
import { type Context, type Tools, contextOf } from '../engine/context.ts';
import type { SystemReader } from '../../system/reader.ts';
import { beginRehearsal } from '../rehearsal/request.ts';
import { cleanVar } from './clean-var.ts';
import type { At } from '../move/old-content.ts';
import {
  type Move,
  type Moves,
  describeFailure,
  readMoves,
  removeMarker,
  shownPlace,
  writeMoves,
} from '../move/record.ts';
import { type Task, moveAway, moveBack, purge } from './tasks.ts';
import { clearViews } from '../move/views.ts';

/**
 * Carries out the recorded tasks, one after the other. A task that fails does not keep the others from being done; its reason
 * is recorded. A power cut leaves the marker, so that the next maintenance boot goes on. The caller holds the lock.
 * @param restore restores the files that prepare has changed; returns whether all were restored
 * @param at is called at each point where tests let the run fail
 * @returns whether everything succeeded
 */
export async function runTasks(
  tools: Tools,
  restore: () => boolean,
  at: At = () => undefined,
): Promise<boolean> {
  const { reader } = tools;
  const moves = readMoves(reader);
  const save = () => writeMoves(tools, moves);
  for (const move of inOrder(moves.moves)) {
    const others = moves.moves.filter((each) => each !== move);
    await runTask(tools, moves, { move, others, save, at });
  }
  if (moves.cleanVar) {
    moves.cleanVar = false;
    await cleanVar(contextOf(tools));
  }
  save();
  let isGood = moves.moves.every(({ problem }) => problem === null);
  if (moves.restoreFiles) {
    moves.restoreFiles = false;
    const isBack = moves.moves.every(({ task, phase }) => task === null && phase === 'planned');
    isGood = isBack && restore() && isGood;
  }
  if (isGood && moves.rehearse !== null) beginRehearsal(tools, moves.rehearse);
  moves.rehearse = null;
  writeMoves(tools, moves);
  removeMarker(tools);
  return isGood;
}

/** Returns the moves with tasks, those that return last, in the reverse order. */
function inOrder(moves: readonly Move[]): Move[] {
  const { back = [], others = [] } = Object.groupBy(
    moves.filter(({ task }) => task !== null),
    ({ task }) => (task === 'return' ? 'back' : 'others'),
  );
  return [...others, ...back.toReversed()];
}

async function runTask(tools: Tools, moves: Moves, task: Task): Promise<void> {
  const { reader, say } = tools;
  const { move, save, at } = task;
  at('begin');
  try {
    expectAlone(reader);
    const context = contextOf(tools);
    await clearViews(context);
    try {
      await carryOut(context, task);
    } finally {
      await clearViews(context);
    }
    if (move.task === 'return') moves.moves.splice(moves.moves.indexOf(move), 1);
    move.problem = null;
    say(describeEnd(move));
  } catch (error) {
    move.problem = errorMessage(error);
    say(describeFailure(move));
    if (move.phase === 'returning') move.phase = 'moved';
  }
  move.task = null;
  move.at = reader.now().toISOString();
  save();
}

async function carryOut(context: Context, task: Task): Promise<void> {
  if (task.move.task === 'return') await moveBack(context, task);
  else if (task.move.task === 'purge') await purge(context, task);
  else await moveAway(context, task);
}

function describeEnd(move: Move): string {
  const { task, path } = move;
  if (task === 'return') return `${path} moved back to the system disk`;
  return task === 'purge' ? `The old content of ${path} is removed` : `${path} moved to ${shownPlace(move)}`;
}

/**
 * Verifies that no process of another user than root runs. In a boot that moves, none is started.
 * @throws SystemError that names one
 */
export function expectAlone(reader: SystemReader): void {
  for (const pid of reader.processes.list()) {
    const status = reader.processes.read(pid, 'status', 65536) ?? '';
    const users = /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
    const other = users.find((user) => user !== '0');
    if (other === undefined) continue;
    const name = /^Name:\s+(.*)$/m.exec(status)?.[1] ?? '?';
    throw new SystemError(
      `process ${pid} (${name}) of user ${other} is running; data moves only while no such process runs. Disable its unit, and run prepare again`,
    );
  }
}
