import { HostError } from '../../lib/errors.ts';
import type { WalkedFile } from '../../system/writer.ts';
import type { Doing } from '../engine/context.ts';
import { type Entry, readJournal } from '../engine/action-log.ts';
import { compare } from './copy.ts';
import { readCutover } from './cutover-state.ts';
import { homeLines } from './fstab-line.ts';
import { ownMount } from './stale-marker.ts';
import { readMounts, withOldHome, withPlaces } from './mounting.ts';
import { oldHomeRegion } from './region.ts';
import { expectUnreachable } from './users.ts';
import { type Move, interruptibly } from './abortable.ts';

const shown = 20;

/**
 * Removes from the old /home, on the system's disk, what is proven not to be needed: each file that is the same in the
 * new /home, byte by byte; and each file that was changed or removed in the new /home after the move, while the old
 * one is as it was at the move. Everything else stays, and is named.
 * @throws HostError EBUSY where something else can write to the old /home: nothing is removed; ENOTEMPTY naming what stays
 */
export function purgeHome(doing: Doing): Promise<void> {
  process.chdir('/');
  const moved = findMove(readJournal(doing.reader));
  if (moved === undefined) throw new HostError('the journal does not say when /home was moved');
  if (moved.volume !== undefined) {
    throw new HostError(`the old /home is a volume of its own, ${moved.volume}: remove it by hand`);
  }
  return interruptibly(doing, (move) =>
    withPlaces(move, () =>
      withOldHome(move, async (old) => {
        expectApart(move, old);
        await expectUnreachable(
          move.reader,
          oldHomeRegion(readMounts(move.reader)),
          'Nothing of the old /home is removed while it can be changed; then --purge-old-home again',
        );
        const isDispensable = await prove(move, old, moved);
        move.say('Removing what the new /home is proven to have of the old one, or has changed since');
        const kept: string[] = [];
        await move.writer.removeTree(old, move.expectGoing, isDispensable, (name) => kept.push(name));
        if (kept.length > 0) throw new HostError(describeKept(kept), 'ENOTEMPTY');
      }),
    ),
  );
}

function describeKept(kept: readonly string[]): string {
  const more = kept.length > shown ? `; and ${kept.length - shown} more` : '';
  const [files, are] = kept.length === 1 ? ['1 file', 'is'] : [`${kept.length} files`, 'are'];
  return `${files} of the old /home ${are} kept, because each was changed in the old /home after the move, or differs in the new one without a change there: ${kept.slice(0, shown).join('; ')}${more}. They are below the mount on /home: mount --bind / /mnt shows them in /mnt/home. Copy what is needed to the new /home, and remove them there`;
}

export interface Moved {
  /** Milliseconds since the epoch: when the new /home was named in fstab. */
  at: number;
  /** What fstab named for /home before; undefined: it was a folder. */
  volume: string | undefined;
  /** Of the new file system; empty where fstab names it otherwise. */
  uuid: string;
}

/** The last time that fstab got another /home. */
export function findMove(journal: readonly Entry[]): Moved | undefined {
  for (const { action, began, step } of journal.toReversed()) {
    if (step !== 'home' || action.do !== 'edit' || action.file !== '/etc/fstab') continue;
    const [before] = homeLines(action.before ?? '');
    const [after] = homeLines(action.after);
    if (after === undefined || after.source === before?.source) continue;
    const uuid = /^UUID=(.+)$/.exec(after.source)?.[1] ?? '';
    return { at: Date.parse(began), volume: before?.source, uuid };
  }
  return undefined;
}

/** What is removed is not what is used. */
function expectApart({ reader }: Move, old: string): void {
  const mounts = readMounts(reader);
  const home = ownMount(mounts);
  if (home === undefined) throw new HostError("/home is a folder of the system's disk: it was not moved");
  if (mounts.serving(old)?.device === home.device) {
    throw new HostError(`${old} and /home are on the same file system`);
  }
}

/** Compares all of the old /home with the new one. @returns whether a file of it can go */
async function prove(move: Move, old: string, { at, uuid }: Moved): Promise<(file: WalkedFile) => boolean> {
  const { reader, writer } = move;
  const cutover = readCutover(reader, uuid);
  // Before it is compared: what changes from here on stays.
  const compared = await writer.readTree(old, move.expectGoing);
  const different = new Map<string, string>();
  await compare(move, { from: old, to: '/home', type: 'xfs' }, (item) => {
    const [, how = '', name = ''] = /^(\S+) +(.*)$/s.exec(item) ?? [];
    // What is new in the new one.
    if (how !== '*deleting') different.set(unescapeName(name).replace(/\/$/, ''), how);
  });
  return ({ name, directory, state }) => {
    if (!compared.has(name, state)) return false;
    const how = different.get(name);
    // A directory's times change with what is removed from it, by an earlier run as well.
    if (how === undefined || (directory && /^\.d\.\.t\.*$/.test(how))) return true;
    if (cutover?.has(name, state) !== true) return false;
    return writer.lastChange('/home', name) > at;
  };
}

/** rsync(1) writes what is not printable as \#ooo. @returns one character a byte */
export function unescapeName(name: string): string {
  return name.replace(/\\#([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
