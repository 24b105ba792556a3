import { array, boolean, nullable, object, string } from 'valibot';
import { parseRecord } from '../../lib/json-record.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { moveMarker } from './marker-files.ts';

export { moveMarker, rehearsalMarker } from './marker-files.ts';

/** The record of the moves (agent/prepare/move/record.ts). */
export const movesFile = '/var/lib/immutafs/moves.json';

const schema = object({
  moves: array(object({ path: string(), task: nullable(string()), problem: nullable(string()) })),
  cleanVar: boolean(),
});

/** What the next maintenance boot has to do, and what failed. */
export interface PlannedMoves {
  /** Directories whose data moves, or whose old content is removed. */
  waiting: string[];
  /** The reasons for failures: "/var/lib/app: …". */
  problems: string[];
  /** Whether the next maintenance boot tries. */
  isDue: boolean;
}

/** @returns undefined if nothing is recorded @throws Error for a file that prepare has not written */
export function readPlannedMoves(reader: SystemReader): PlannedMoves | undefined {
  const text = reader.readRecord(movesFile, 'root');
  if (text === undefined) return undefined;
  const { moves, cleanVar } = parseRecord(schema, text, movesFile);
  return {
    waiting: [
      ...moves.flatMap(({ path, task }) => (task === null ? [] : [path])),
      ...(cleanVar ? ['/var/log'] : []),
    ],
    problems: moves.flatMap(({ path, problem }) =>
      problem === null ? [] : [`${path}: ${decodeBytes(problem)}`],
    ),
    isDue: reader.stat(moveMarker) !== undefined,
  };
}
