import { HostError } from '../../lib/errors.ts';
import type { TreeState } from '../../system/writer.ts';
import { parseTreeState } from '../../system/tree-state.ts';
import type { SystemReader } from '../../system/reader.ts';
import { backupFolder } from '../engine/action-log.ts';
import type { Move } from './abortable.ts';

/**
 * The state of each file of the old /home when it was compared with the new one, right before the change: what is in
 * it is unchanged since. Eight bytes a file.
 */
export const cutoverFile = '/var/lib/immutafs/home-at-cutover';

const limit = 1024 * 1024 * 1024;

/** @param uuid of the new file system */
export function writeCutover({ writer }: Pick<Move, 'writer'>, uuid: string, state: TreeState): void {
  writer.makeFolder(backupFolder, 0o700);
  writer.replaceText(cutoverFile, `${header(uuid)}${state.text()}`, 0o600);
}

/**
 * @param uuid of the file system that the move was to
 * @returns undefined where none was written, or of another move: then nothing is known to be unchanged
 * @throws HostError where it has another form
 */
export function readCutover(reader: SystemReader, uuid: string): TreeState | undefined {
  if (reader.stat(cutoverFile) === undefined) return undefined;
  const text = reader.read(cutoverFile, limit);
  const end = text.indexOf('\n') + 1;
  if (!/^immutafs home-at-cutover 1 \S+\n$/.test(text.slice(0, end))) {
    throw new HostError(`${cutoverFile} is not what prepare wrote`);
  }
  return text.slice(0, end) === header(uuid) ? parseTreeState(text.slice(end)) : undefined;
}

function header(uuid: string): string {
  return `immutafs home-at-cutover 1 ${uuid}\n`;
}
