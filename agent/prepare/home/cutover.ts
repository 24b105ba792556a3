import { HostError } from '../../errors.ts';
import type { TreeState } from '../../host/hands.ts';
import { parseTreeState } from '../../host/tree-state.ts';
import type { Host } from '../../host.ts';
import { backupFolder } from '../journal.ts';
import type { Move } from './work.ts';

/**
 * The state of each file of the old /home when it was compared with the new one, right before the change: what is in
 * it is unchanged since. Eight bytes a file.
 */
export const cutoverFile = '/var/lib/immutafs/home-at-cutover';

const limit = 1024 * 1024 * 1024;

/** @param uuid of the new file system */
export function writeCutover({ hands }: Pick<Move, 'hands'>, uuid: string, state: TreeState): void {
  hands.makeFolder(backupFolder, 0o700);
  hands.replaceText(cutoverFile, `${header(uuid)}${state.text()}`, 0o600);
}

/**
 * @param uuid of the file system that the move was to
 * @returns undefined where none was written, or of another move: then nothing is known to be unchanged
 * @throws HostError where it has another form
 */
export function readCutover(host: Host, uuid: string): TreeState | undefined {
  if (host.stat(cutoverFile) === undefined) return undefined;
  const text = host.read(cutoverFile, limit);
  const end = text.indexOf('\n') + 1;
  if (!/^immutafs home-at-cutover 1 \S+\n$/.test(text.slice(0, end))) {
    throw new HostError(`${cutoverFile} is not what prepare wrote`);
  }
  return text.slice(0, end) === header(uuid) ? parseTreeState(text.slice(end)) : undefined;
}

function header(uuid: string): string {
  return `immutafs home-at-cutover 1 ${uuid}\n`;
}
