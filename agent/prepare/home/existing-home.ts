import { mayHang } from '../../facts/mounts/hang-safe.ts';
import { requiredOptions } from '../../facts/mounts/targets.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import { readActionLog } from '../engine/action-log.ts';
import { linesOf, mergeOptions, setOptions } from '../engine/fstab.ts';
import { type Snapshot, snapshotAfter } from '../engine/snapshot.ts';
import type { Action, Step } from '../engine/step.ts';
import { planPersistence } from './persistence.ts';
import { findStaleMarker } from './progress-marker.ts';
import { findMigration } from './purge.ts';
import { missingPrograms } from '../move/programs.ts';

/**
 * Plans the changes for a /home that is already a separate, writable file system: removal of a stale marker, the line
 * in fstab, mount options, and the purge of the old content.
 */
export async function planExistingHome(snapshot: Snapshot, home: Mount): Promise<Step> {
  const { reader } = snapshot;
  const why = [`/home is ${home.source}, which is not on the system's disk.`];
  const actions: Action[] = [];
  const stale = mayHang(home) ? undefined : await findStaleMarker(reader, home);
  if (stale !== undefined) {
    const disk = stale.on === 'disk' ? stale.device : `UUID=${stale.uuid}`;
    why.push(
      `A run of prepare was interrupted after its copy was complete: ${disk} still has a progress marker.`,
    );
    actions.push({ do: 'clear-home-marker', disk });
  }
  const next = mayHang(home) ? undefined : await planPersistence(snapshot, home);
  if (next !== undefined) why.push(next.why);
  if (next !== undefined && next.action === undefined) {
    return { id: 'home', state: 'blocked', why, actions: [] };
  }
  if (next?.action !== undefined) actions.push(next.action);
  const options = planOptions(snapshotAfter(snapshot, actions), home);
  why.push(...options.why);
  if (options.byHand) return { id: 'home', state: 'by hand', why, actions: [] };
  const purge = planPurge(snapshot);
  why.push(...purge.why);
  const missing = purge.actions.length > 0 ? missingPrograms(reader, false) : [];
  if (missing.length > 0) return { id: 'home', state: 'blocked', why: [...why, ...missing], actions: [] };
  actions.push(...options.actions, ...purge.actions);
  return { id: 'home', state: actions.length > 0 ? 'needed' : 'done', why, actions };
}

/** Plans the mount options that REQUIRE_OPTIONS has for /home, for the present mount and in fstab. */
function planOptions(
  { config, fstab }: Snapshot,
  home: Mount,
): { why: string[]; actions: Action[]; byHand: boolean } {
  const wanted = requiredOptions(config).find(({ target }) => target === '/home')?.list ?? [];
  const now = wanted.filter((option) => !home.options.includes(option));
  const lines = linesOf(fstab.text ?? '', '/home');
  const later = wanted.filter((option) => lines.some(({ options }) => !options.includes(option)));
  const actions: Action[] = [];
  if (now.length === 0 && later.length === 0) return { why: [], actions, byHand: false };
  const missing = mergeOptions(now, later).join(', ');
  const why = [`/home must have the options ${wanted.join(', ')}; missing: ${missing}.`];
  if (lines.length === 0) {
    const hint =
      'No line of /etc/fstab mounts it: add the options to the unit or automount map that mounts it.';
    return { why: [...why, hint], actions, byHand: true };
  }
  if (later.length > 0) {
    const before = fstab.text ?? '';
    actions.push({ do: 'edit', file: '/etc/fstab', before, after: setOptions(before, '/home', wanted) });
  }
  if (now.length > 0) {
    // Changes only the options of the mount, because other options in fstab, such as quotas, may require an unmount.
    const args = ['-o', `remount,bind,${wanted.join(',')}`, '/home'];
    actions.push({ do: 'run', program: '/usr/bin/mount', args, seconds: 60 });
  }
  return { why, actions, byHand: false };
}

/** Plans the removal of the old content, unless the action log has a completed purge that began after the cutover. */
function planPurge({ reader, settings }: Snapshot): { why: string[]; actions: Action[] } {
  const log = readActionLog(reader);
  const migrated = findMigration(log);
  if (migrated === undefined) return { why: [], actions: [] };
  if (migrated.volume !== undefined) {
    const why = `The old content is still on ${migrated.volume}: remove that volume manually.`;
    return { why: [why], actions: [] };
  }
  const isPurged = log.some(
    ({ action, ended, problem, began }) =>
      action.do === 'purge-home' && ended !== null && problem === null && Date.parse(began) > migrated.at,
  );
  if (isPurged) return { why: [], actions: [] };
  const where = "The old content is still on the system's disk, below the mount";
  if (!settings.purgeOldHome) return { why: [`${where}; --purge-old-home removes it.`], actions: [] };
  return { why: [`${where}.`], actions: [{ do: 'purge-home' }] };
}
