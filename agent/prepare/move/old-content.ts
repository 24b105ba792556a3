import path from 'node:path';
import { SystemError } from '../../lib/errors.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Context } from '../engine/context.ts';
import { oldContent } from '../../facts/boot/marker-files.ts';
import { type Move, shownPlace } from './record.ts';
import { makeDirectory } from './views.ts';

/*
 * The old content of a moved directory stays on the system disk, in a directory of root in a new, otherwise empty directory at
 * the same path: a service that starts while the new place is not mounted finds no outdated data, which it would change.
 * The old directory is exchanged as a whole, so that the path always leads to all of it or to nothing of it.
 */

/** Points in the life of a move at which tests let it fail. */
export type At = (point: string) => void;

interface Places {
  path: string;
  /** The name of the old directory, or of its replacement, while they are exchanged. */
  beside: string;
  aside: string;
  content: string;
}

function placesOf({ path: directory }: Move): Places {
  const aside = `${directory}/${oldContent}`;
  const beside = path.join(path.dirname(directory), `.immutafs-${path.basename(directory)}`);
  return { path: directory, beside, aside, content: `${aside}/content` };
}

/** Returns where the old directory is, by its inode number. @throws SystemError if it is none of these */
export function locate(reader: SystemReader, move: Move): 'in place' | 'beside' | 'aside' {
  const { path: directory, beside, aside, content } = placesOf(move);
  const isThere = (each: string) => {
    const stat = reader.stat(each);
    return stat?.kind === 'directory' && stat.inode === move.origin.inode;
  };
  if (isThere(directory)) return 'in place';
  if (isThere(beside)) return 'beside';
  if (isOfRoot(reader, aside) && isThere(content)) return 'aside';
  throw new SystemError(
    `the original directory ${directory} is missing (looked at ${directory} and ${content}): find it and move it back`,
  );
}

/** Whether a path is a directory of root that only root can enter. */
function isOfRoot(reader: SystemReader, directory: string): boolean {
  const { kind, uid, mode = 0 } = reader.stat(directory) ?? {};
  return kind === 'directory' && uid === 0 && (mode & 0o077) === 0;
}

/** Returns the path of the old content that was set aside. */
export const contentPath = (move: Move): string => placesOf(move).content;

/** Puts the old directory aside. Continues what an interrupted call of this or of bringBack has begun. */
export async function setAside(context: Context, move: Move, at: At): Promise<void> {
  const { reader, writer } = context;
  const { path: directory, beside, aside, content } = placesOf(move);
  const inode = String(move.origin.inode);
  if (locate(reader, move) === 'beside' && reader.stat(directory) === undefined)
    await moveDirectory(context, 'move', inode, beside, directory);
  if (locate(reader, move) === 'in place') {
    await removeReplacement(context, beside);
    const inside = `${beside}/${oldContent}`;
    await makeDirectory(context, beside, directory);
    await makeDirectory(context, inside);
    writer.replaceText(`${inside}/README`, explanation(move), 0o600);
    at('swap');
    await moveDirectory(context, 'exchange', inode, directory, beside);
  }
  at('aside');
  if (locate(reader, move) === 'aside') return;
  if (!isOfRoot(reader, aside)) throw new SystemError(`${aside} was not made by this program`);
  await moveDirectory(context, 'move', inode, beside, content);
}

/** Puts the old directory back, and removes its replacement. Continues what an interrupted call has begun. */
export async function bringBack(context: Context, move: Move, at: At): Promise<void> {
  const { reader } = context;
  const { path: directory, beside, content } = placesOf(move);
  const inode = String(move.origin.inode);
  if (locate(reader, move) === 'aside') {
    expectReplaced(reader, move);
    await moveDirectory(context, 'move', inode, content, beside);
    at('beside');
  }
  if (locate(reader, move) === 'beside') {
    const step = reader.stat(directory) === undefined ? 'move' : 'exchange';
    await moveDirectory(context, step, inode, beside, directory);
    at('swapped');
  }
  await removeReplacement(context, beside);
}

/** @throws SystemError if a program has written to the replacement, while the new place was not mounted */
export function expectReplaced(reader: SystemReader, move: Move): void {
  const others = namesIfThere(reader, move.path).filter((name) => name !== oldContent);
  if (locate(reader, move) !== 'aside' || others.length === 0) return;
  throw new SystemError(
    `${move.path} on the system disk contains ${others.slice(0, 5).join(', ')}, written while ${shownPlace(move)} was not mounted: move it away`,
  );
}

async function removeReplacement({ reader, writer, run }: Context, beside: string): Promise<void> {
  for (const each of [beside, path.join(path.dirname(beside), '.immutafs-exchange')]) {
    if (reader.stat(each) === undefined) continue;
    const aside = `${each}/${oldContent}`;
    if (reader.stat(`${aside}/README`) !== undefined) writer.remove(`${aside}/README`);
    await run('/usr/bin/rmdir', [...(reader.stat(aside) === undefined ? [] : [aside]), each]);
  }
}

/** Renames a directory, and waits until that is on the disk. */
export async function moveDirectory(
  { run }: Context,
  step: 'move' | 'exchange',
  inode: string,
  from: string,
  to: string,
): Promise<void> {
  await run('/usr/libexec/immutafs/move-directory', [step, inode, from, to]);
}

/**
 * Returns why a directory must not be moved, as a clause after its path; undefined if it may be moved. Another user
 * than root who can change a directory above it could replace it by a symbolic link.
 * @param directory an absolute path
 */
export function whyNotMoved(reader: SystemReader, directory: string): string | undefined {
  if (reader.stat(`${directory}/${oldContent}`) !== undefined)
    return `contains ${oldContent}, in which an earlier move keeps the old content, or which another program made: examine it, and remove or rename it`;
  for (let above = path.dirname(directory); ; above = path.dirname(above)) {
    const { kind, uid, mode = 0 } = reader.stat(above) ?? {};
    if (kind !== 'directory' || uid !== 0 || (mode & 0o022) !== 0)
      return `is below ${above}, which other users than root can change: move that directory instead`;
    if (above === '/') return undefined;
  }
}

const explanation = (move: Move): string =>
  `\`immutafs-agent prepare\` moved the content of ${move.path} to ${shownPlace(move)}, which every boot mounts on
${move.path}. If you see this file at that path, it is not mounted: \`immutafs-agent status\` says why.

content/ is the old content, as it was before the move. \`immutafs-agent prepare --undo\` copies what was written since
back to the system disk, and \`immutafs-agent prepare --apply ${move.kind === 'home' ? '--purge-old-home' : '--purge-old-state'}\` removes the old content.
`;
