import { SystemError } from '../../lib/errors.ts';
import type { TreeState } from '../../system/writer.ts';
import { parseTreeState } from '../../system/tree.ts';
import type { SystemReader } from '../../system/reader.ts';
import { backupFolder } from '../engine/action-log.ts';
import type { Context } from '../engine/context.ts';

/**
 * Contains the state of each file of the old /home when it was compared with the new /home, right before the cutover. A
 * file whose state is still the same has not changed since. The state takes eight bytes per file.
 */
const cutoverFile = '/var/lib/immutafs/home-at-cutover';

const limit = 1024 * 1024 * 1024;

/** Writes the state of the old /home. @param uuid the UUID of the new file system */
export function writeCutoverState({ writer }: Context, uuid: string, state: TreeState): void {
  writer.makeDirectory(backupFolder, 0o700);
  writer.replaceText(cutoverFile, `${header(uuid)}${state.text()}`, 0o600);
}

/**
 * Reads the state of the old /home at the cutover.
 * @param uuid the UUID of the file system to which /home was moved
 * @returns undefined if there is no state of this migration, so that no file is known to be unchanged
 * @throws SystemError if the file has another format
 */
export function readCutoverState(reader: SystemReader, uuid: string): TreeState | undefined {
  if (reader.stat(cutoverFile) === undefined) return undefined;
  const text = reader.read(cutoverFile, limit);
  const end = text.indexOf('\n') + 1;
  if (!/^immutafs home-at-cutover 1 \S+\n$/.test(text.slice(0, end))) {
    throw new SystemError(`${cutoverFile} was not written by prepare`);
  }
  return text.slice(0, end) === header(uuid) ? parseTreeState(text.slice(end)) : undefined;
}

function header(uuid: string): string {
  return `immutafs home-at-cutover 1 ${uuid}\n`;
}
