import path from 'node:path';
import { nodeOfMount, nodeOfSource } from '../../facts/disks/sources.ts';
import { mayHang } from '../../facts/mounts/hang-safe.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import { linesOf, mergeOptions, setOptions } from '../engine/fstab.ts';
import { type Planned, stepOf } from '../engine/part.ts';
import { type Snapshot, snapshotAfter } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';
import { deviceOf, probe } from '../move/devices.ts';
import { requiredForHome, withHome } from './migration.ts';
import { readMoves } from '../move/record.ts';

/** What one of the planners below has found; with a state if no other change can be planned. */
type Change = Partial<Pick<Planned, 'state' | 'why' | 'actions'>>;

/**
 * Plans the changes for a /home that is already a separate, writable file system: the line
 * in fstab, mount options, and the purge of the old content.
 */
export async function planExistingHome(
  snapshot: Snapshot,
  home: Mount,
  failed: readonly string[] = [],
): Promise<Planned> {
  const why = [`/home is ${home.source}, which is not on the system's disk.`, ...failed];
  const actions: Action[] = [];
  for (const planChange of [planPersistence, planOptions, planPurge]) {
    const {
      state,
      why: reasons = [],
      actions: more = [],
    } = await planChange(snapshotAfter(snapshot, actions), home);
    why.push(...reasons);
    if (state !== undefined) return stepOf(state, why);
    actions.push(...more);
  }
  return stepOf(actions.length > 0 ? 'needed' : 'done', why, actions);
}

/**
 * Plans a line in fstab if the next boot does not mount the present file system on /home: after --undo, or if an
 * administrator mounted it manually. The line is added only if the command line names the file system, by its UUID or by
 * its disk.
 */
async function planPersistence(snapshot: Snapshot, home: Mount): Promise<Change> {
  const { reader, settings, fstab } = snapshot;
  const node = nodeOfMount(reader, home);
  if (mayHang(home) || node === undefined || isPersistent(snapshot, home)) return {};
  const { UUID: uuid = '', TYPE: type = home.type } = await probe(reader, deviceOf(node));
  const [line] = linesOf(fstab.text ?? '', '/home');
  const instead = line === undefined ? 'names no /home' : `names ${line.source}`;
  const why = `The next boot does not mount it on /home: /etc/fstab ${instead}.`;
  const { homeDevice, homeUuid = '' } = settings;
  const isNamed =
    homeDevice === undefined
      ? homeUuid.toLowerCase() === uuid.toLowerCase()
      : [node, path.dirname(node)].includes(nodeOfSource(reader, homeDevice) ?? '');
  if (!isNamed || uuid === '') {
    const hint = 'Name it with --home-device or --home-uuid to add its line.';
    return { why: [`${why} ${hint}`], state: 'blocked' };
  }
  const after = withHome(fstab.text ?? '', { uuid, type });
  return { why: [why], actions: [{ do: 'edit', file: '/etc/fstab', before: fstab.text, after }] };
}

/**
 * Whether fstab, a unit or an automounter mounts the file system on /home. If fstab names a source that cannot be
 * found, the source is assumed to be this file system.
 */
function isPersistent(snapshot: Snapshot, home: Mount): boolean {
  const lines = snapshot.fstab.lines.filter(({ target }) => target === '/home');
  if (lines.length > 0) return lines.some(({ device }) => device === undefined || device === home.device);
  const folders = ['/etc/systemd/system', '/usr/lib/systemd/system', '/usr/local/lib/systemd/system'];
  const units = folders.flatMap((folder) => [`${folder}/home.mount`, `${folder}/home.automount`]);
  return (
    units.some((unit) => snapshot.reader.stat(unit) !== undefined) ||
    snapshot.mounts.at('/home').some(({ type }) => type === 'autofs')
  );
}

/**
 * Plans the mount options that REQUIRE_OPTIONS has for /home, in fstab and for the present mount.
 * @param home undefined in an image
 */
export function planOptions({ config, fstab }: Snapshot, home: Mount | undefined): Change {
  const wanted = requiredForHome(config);
  const now = home === undefined ? [] : wanted.filter((option) => !home.options.includes(option));
  const before = fstab.text ?? '';
  const lines = linesOf(before, '/home');
  // Of two opposite options, the last one takes effect.
  const isOverridden = (options: readonly string[], option: string) =>
    options.lastIndexOf(option) < options.lastIndexOf(option === 'ro' ? 'rw' : option.replace(/^no/, ''));
  const later = wanted.filter((option) =>
    lines.some(({ options }) => !options.includes(option) || isOverridden(options, option)),
  );
  if (now.length === 0 && later.length === 0) return {};
  const missing = mergeOptions(now, later).join(', ');
  const why = [`/home must have the options ${wanted.join(', ')}; missing: ${missing}.`];
  if (lines.length === 0) {
    const hint =
      'No line of /etc/fstab mounts it: add the options to the unit or automount map that mounts it.';
    return { why: [...why, hint], state: 'by hand' };
  }
  const actions: Action[] = [];
  if (later.length > 0)
    actions.push({ do: 'edit', file: '/etc/fstab', before, after: setOptions(before, '/home', wanted) });
  if (now.length > 0) {
    // Changes only the options of the mount, because other options in fstab, such as quotas, may require an unmount.
    const args = ['-o', `remount,bind,${wanted.join(',')}`, '/home'];
    actions.push({ do: 'run', program: '/usr/bin/mount', args, seconds: 60 });
  }
  return { why, actions };
}

/** Plans the removal of the old content. */
function planPurge({ reader, settings }: Snapshot): Change {
  const move = readMoves(reader).moves.find(({ path: moved }) => moved === '/home');
  if (move === undefined || move.phase !== 'moved') return {};
  if (move.origin.volume !== null)
    return { why: [`The old content is still on ${move.origin.volume}: remove that volume manually.`] };
  if (move.purged && move.problem === null) return {};
  const where = "The old content is still on the system's disk, below the mount";
  if (settings.purgeOldHome !== true) return { why: [`${where}; --purge-old-home removes it.`] };
  return { why: [`${where}.`], actions: [{ do: 'plan-purge', path: '/home' }] };
}
