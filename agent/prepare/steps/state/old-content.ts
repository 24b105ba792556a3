import path from 'node:path';
import { SystemError } from '../../../lib/errors.ts';
import { namesIfThere } from '../../../system/names.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { readActionLog } from '../../engine/action-log.ts';
import type { ActionOf, Context } from '../../engine/context.ts';
import { type PlaceInStore, placeInStore } from '../../engine/step.ts';
import { withCovered } from '../../move/mounting.ts';
import { openMoving } from '../../move/moving.ts';
import { coveredRegion } from '../../move/region.ts';
import { oldContent } from '../../move/copy.ts';
import { expectUnreachable } from '../../move/users.ts';
import { expectKept } from '../persist.ts';

/**
 * Moves the old content of a directory into a directory in it, so that a service that starts while the store is not mounted
 * (the kernel argument immutafs=off, an absent disk) finds no data, instead of outdated data that it would change.
 * @throws SystemError EBUSY if a process can write to the old content
 */
export async function clearState(context: Context, action: ActionOf<'clear-state'>): Promise<void> {
  await context.shared(openMoving);
  const place = placeInStore(action);
  const { path } = place;
  expectKept(context.reader, place);
  await expectUnreachable(
    context.reader,
    coveredRegion(context.reader, path),
    `The new ${path} is mounted. These can still write to the old one: end them, and run --apply again.`,
  );
  await withCovered(context, path, (directory) => setAside(context, place, directory));
}

/**
 * Removes the old content of a directory, which was compared with the copy before the switch.
 * @throws SystemError ENOTEMPTY if a file of it was changed after it was moved aside, in which case nothing is removed
 */
export async function purgeState(context: Context, action: ActionOf<'purge-state'>): Promise<void> {
  await context.shared(openMoving);
  const { reader, writer, run, checkAborted, say } = context;
  const place = placeInStore(action);
  expectKept(reader, place);
  const aside = readActionLog(reader).findLast(
    ({ action: each, ended, problem }) =>
      each.do === 'clear-state' && each.item === action.item && ended !== null && problem === null,
  );
  if (aside === undefined) throw new SystemError(`the action log does not contain the move of ${place.path}`);
  await withCovered(context, place.path, async (directory) => {
    const content = asideOf(reader, directory);
    const since = `@${Date.parse(aside.ended ?? '') / 1000 + 1}`;
    const changed = (
      await run('/usr/bin/find', [content, '-xdev', '-mindepth', '1', '-newerct', since, '-print', '-quit'])
    ).trim();
    if (changed !== '') {
      throw new SystemError(
        `the old content of ${place.path} was changed after the move (${changed.slice(content.length + 1)}): nothing is removed`,
        'ENOTEMPTY',
      );
    }
    say(`Removing the old content of ${place.path} from the system disk`);
    const kept: string[] = [];
    await writer.removeTree(
      content,
      checkAborted,
      () => true,
      (name) => kept.push(name),
    );
    if (kept.length > 0)
      throw new SystemError(`${kept.length} files of ${content} are immutable`, 'ENOTEMPTY');
  });
}

/**
 * Moves everything in a directory into `content` of its directory `oldContent`. Continues what an interrupted call began.
 * @param directory the directory of the system disk
 * @throws SystemError see asideOf
 */
export async function setAside(context: Context, place: PlaceInStore, directory: string): Promise<void> {
  const { reader, writer } = context;
  const aside = `${directory}/${oldContent}`;
  for (const each of [aside, `${aside}/content`])
    if (reader.stat(each) === undefined) writer.makeDirectory(each, 0o700);
  const content = asideOf(reader, directory);
  writer.replaceText(`${aside}/README`, explanation(place), 0o600);
  await moveAll(context, directory, content);
}

/**
 * Returns the directory of the old content. The user of a service may own the directory around it, and could have put a
 * symbolic link in its place, through which root would move, overwrite or remove other files.
 * @param directory the directory of the system disk
 * @throws SystemError if it is not a directory of root that only root can enter
 */
function asideOf(reader: SystemReader, directory: string): string {
  const aside = `${directory}/${oldContent}`;
  const content = `${aside}/content`;
  const { kind, uid, mode = 0 } = reader.stat(aside) ?? {};
  const isOwn = kind === 'directory' && uid === 0 && (mode & 0o077) === 0;
  // --undo copies the owner and the mode of the service's directory to the content.
  if (!isOwn || reader.stat(content)?.kind !== 'directory')
    throw new SystemError(`${aside} was not made by this program: examine it, and remove or rename it`);
  return content;
}

/**
 * Returns why a directory must not be moved, as a clause after its path; undefined if it may be moved. Another user
 * than root who can change a directory above it could replace it by a symbolic link, which mount(8) follows.
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

/** Moves the old content back to its place, and removes the directory in which it was. */
export async function bringBack(context: Context, directory: string): Promise<void> {
  const aside = `${directory}/${oldContent}`;
  const content = asideOf(context.reader, directory);
  await moveAll(context, content, directory);
  context.writer.remove(`${aside}/README`);
  await context.runAlways('/usr/bin/rmdir', [content, aside]);
  await context.runAlways('/usr/bin/sync', []);
}

/** Renames the files of one directory into another one of the same file system; files with the same name stay. */
async function moveAll({ reader, runAlways }: Context, from: string, to: string): Promise<void> {
  const others = ['-mindepth', '1', '-maxdepth', '1', '!', '-name', oldContent];
  const move = ['-exec', '/usr/bin/mv', '-n', '-t', to, '--', '{}', '+'];
  await runAlways('/usr/bin/find', [from, ...others, ...move]);
  await runAlways('/usr/bin/sync', []);
  const left = namesIfThere(reader, from).filter((name) => name !== oldContent);
  if (left.length > 0) throw new SystemError(`${to} already contains ${left.slice(0, 5).join(', ')}`);
}

const explanation = ({ path, final }: PlaceInStore): string =>
  `\`immutafs-agent prepare --move-state\` moved the content of ${path} to ${final}, which every boot mounts on
${path}. If you see this file at that path, it is not mounted: \`immutafs-agent status\` says why.

content/ is the old content, as it was before the move. \`immutafs-agent prepare --undo\` copies what was written since
back to the system disk, and \`immutafs-agent prepare --apply --purge-old-state\` removes the old content.
`;
