import { HostError } from '../../lib/errors.ts';
import type { TreeState } from '../../system/writer.ts';
import { parseTreeState } from '../../system/tree-state.ts';
import type { SystemReader } from '../../system/reader.ts';
import { backupFolder } from '../engine/action-log.ts';
import type { Context } from '../engine/context.ts';

/**
 * The state of each file of the old /home when it was compared with the new one, right before the cutover: a file with the
 * same state has not changed since. Eight bytes a file.
 */
export const cutoverFile = '/var/lib/immutafs/home-at-cutover';

const limit = 1024 * 1024 * 1024;

/** @param uuid of the new file system */
export function writeCutoverState({ writer }: Context, uuid: string, state: TreeState): void {
  writer.makeFolder(backupFolder, 0o700);
  writer.replaceText(cutoverFile, `${header(uuid)}${state.text()}`, 0o600);
}

/**
 * @param uuid of the file system that /home was moved to
 * @returns undefined if there is none of this migration: then no file is known to be unchanged
 * @throws HostError if it has another format
 */
export function readCutoverState(reader: SystemReader, uuid: string): TreeState | undefined {
  if (reader.stat(cutoverFile) === undefined) return undefined;
  const text = reader.read(cutoverFile, limit);
  const end = text.indexOf('\n') + 1;
  if (!/^immutafs home-at-cutover 1 \S+\n$/.test(text.slice(0, end))) {
    throw new HostError(`${cutoverFile} was not written by prepare`);
  }
  return text.slice(0, end) === header(uuid) ? parseTreeState(text.slice(end)) : undefined;
}

function header(uuid: string): string {
  return `immutafs home-at-cutover 1 ${uuid}\n`;
}
