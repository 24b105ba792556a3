import path from 'node:path';
import { HostError } from '../../errors.ts';
import type { Doing } from '../doing.ts';
import { type Entry, readJournal } from '../journal.ts';
import { compare } from './copy.ts';
import { homeLines } from './fstab-line.ts';
import { ownMount } from './left.ts';
import { readMounts, withOldHome, withPlaces } from './mounting.ts';
import { type Move, interruptibly } from './work.ts';

/**
 * Removes the old content of /home from the system's disk, once the new one is proven to have it: each file is the
 * same, byte by byte, or was changed or removed by somebody after the move.
 * @throws HostError where it is not proven: nothing is removed then
 */
export function purgeHome(doing: Doing): Promise<void> {
  process.chdir('/');
  const moved = findMove(readJournal(doing.host));
  if (moved === undefined) throw new HostError('the journal does not say when /home was moved');
  if (moved.volume !== undefined) {
    throw new HostError(`the old /home is a volume of its own, ${moved.volume}: remove it by hand`);
  }
  return interruptibly(doing, (move) =>
    withPlaces(move, () =>
      withOldHome(move, async (old) => {
        expectApart(move, old);
        await expectProven(move, old, moved.at);
        move.say(
          'The new /home has all that the old one has, or what became of it: removing the old content',
        );
        await move.must('/usr/bin/find', old, '-xdev', '-mindepth', '1', '-delete');
      }),
    ),
  );
}

export interface Moved {
  /** Milliseconds since the epoch: when the new /home was named in fstab. */
  at: number;
  /** What fstab named for /home before; undefined: it was a folder. */
  volume: string | undefined;
}

/** The last time that fstab got another /home. */
export function findMove(journal: readonly Entry[]): Moved | undefined {
  for (const { action, began, step } of journal.toReversed()) {
    if (step !== 'home' || action.do !== 'edit' || action.file !== '/etc/fstab') continue;
    const [before] = homeLines(action.before ?? '');
    const [after] = homeLines(action.after);
    if (after === undefined || after.source === before?.source) continue;
    return { at: Date.parse(began), volume: before?.source };
  }
  return undefined;
}

/** What is removed is not what is used. */
function expectApart({ host }: Move, old: string): void {
  const mounts = readMounts(host);
  const home = ownMount(mounts);
  if (home === undefined) throw new HostError("/home is a folder of the system's disk: it was not moved");
  if (mounts.serving(old)?.device === home.device) {
    throw new HostError(`${old} and /home are on the same file system`);
  }
}

async function expectProven({ host, ...move }: Move, old: string, movedAt: number): Promise<void> {
  const unproven: string[] = [];
  let count = 0;
  await compare({ host, ...move }, { from: old, to: '/home', type: 'xfs' }, (item) => {
    const name = item.slice(item.indexOf(' ') + 1);
    // What is new in the new one.
    if (item.startsWith('*deleting') || changedSince(unescapeName(name))) return;
    count += 1;
    if (unproven.length < 5) unproven.push(item);
  });
  if (count === 0) return;
  throw new HostError(
    `the new /home is not proven: ${count} files of the old one are missing or different in it, and nobody changed them since: ${unproven.join('; ')}`,
  );

  /** Itself or, where it is gone, the folder that it was in. */
  function changedSince(name: string): boolean {
    for (let each = path.join('/home', name); ; each = path.dirname(each)) {
      const stat = host.stat(each);
      if (stat !== undefined) return stat.changed > movedAt;
      if (each === '/home') return false;
    }
  }
}

/** rsync(1) writes what is not printable as \#ooo. */
export function unescapeName(name: string): string {
  const bytes = name.replace(/\\#([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8').includes('\ufffd')
    ? bytes
    : Buffer.from(bytes, 'latin1').toString('utf8');
}
