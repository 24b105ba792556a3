import { mayHang } from '../../facts/mounts/hanging.ts';
import { requiredOptions } from '../../facts/mounts/targets.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import { readJournal } from '../engine/action-log.ts';
import { type Look, lookAfter } from '../engine/snapshot.ts';
import type { Action, Step } from '../engine/step.ts';
import { homeLines, mergeOptions, withHomeOptions } from './fstab-line.ts';
import { findLeft } from './stale-marker.ts';
import { planNextBoot } from './persistence.ts';
import { missingPrograms } from './programs.ts';
import { findMove } from './purge.ts';

/** /home has a file system of its own that stays writable: its options, and what a run that was interrupted left. */
export async function planMoved(look: Look, home: Mount): Promise<Step> {
  const left = mayHang(home) ? undefined : await findLeft(look.reader, home);
  const why = [`/home is ${home.source}, which is not on the system's disk.`];
  const actions: Action[] = [];
  if (left !== undefined) {
    why.push('The mark of an unfinished copy is still on it, though it is complete: it is to be removed.');
    actions.push({
      do: 'move-home',
      disk: left.on === 'disk' ? left.device : `UUID=${left.uuid}`,
      wipe: false,
    });
  }
  const next = mayHang(home) ? undefined : await planNextBoot(look, home);
  if (next !== undefined) why.push(next.why);
  if (next !== undefined && next.action === undefined)
    return { id: 'home', state: 'blocked', why, actions: [] };
  if (next?.action !== undefined) actions.push(next.action);
  const options = planOptions(lookAfter(look, actions), home);
  why.push(...options.why);
  if (options.byHand) return { id: 'home', state: 'by hand', why, actions: [] };
  const purging = purge(look, why);
  const missing = purging.length > 0 ? missingPrograms(look.reader, false) : [];
  if (missing.length > 0) return { id: 'home', state: 'blocked', why: [...why, ...missing], actions: [] };
  actions.push(...options.actions, ...purging);
  return { id: 'home', state: actions.length > 0 ? 'needed' : 'done', why, actions };
}

/** What REQUIRE_OPTIONS asks for, now and in fstab. */
function planOptions(
  { config, fstab }: Look,
  home: Mount,
): { why: string[]; actions: Action[]; byHand: boolean } {
  const wanted = requiredOptions(config).find(({ target }) => target === '/home')?.list ?? [];
  const now = wanted.filter((option) => !home.options.includes(option));
  const lines = homeLines(fstab.text ?? '');
  const later = wanted.filter((option) => lines.some(({ options }) => !options.includes(option)));
  const actions: Action[] = [];
  if (now.length === 0 && later.length === 0) return { why: [], actions, byHand: false };
  const missing = mergeOptions(now, later).join(', ');
  const why = [`/home is to have the options ${wanted.join(', ')}; missing: ${missing}.`];
  if (lines.length === 0) {
    const hint =
      'No line of /etc/fstab mounts it: add them where it is mounted from (a unit, an automount map).';
    return { why: [...why, hint], actions, byHand: true };
  }
  if (later.length > 0) {
    const before = fstab.text ?? '';
    actions.push({ do: 'edit', file: '/etc/fstab', before, after: withHomeOptions(before, wanted) });
  }
  if (now.length > 0) {
    // Of the mount alone: what else fstab asks for may not be changed while it is mounted, such as quotas.
    const args = ['-o', `remount,bind,${wanted.join(',')}`, '/home'];
    actions.push({ do: 'run', program: '/usr/bin/mount', args, seconds: 60 });
  }
  return { why, actions, byHand: false };
}

/** The old content is there until a purge has followed the move in the journal. */
function purge({ reader, settings }: Look, why: string[]): Action[] {
  const journal = readJournal(reader);
  const moved = findMove(journal);
  if (moved === undefined) return [];
  if (moved.volume !== undefined) {
    why.push(`The old content is still on ${moved.volume}: remove that volume by hand.`);
    return [];
  }
  const purged = journal.some(
    ({ action, ended, problem, began }) =>
      action.do === 'purge-home' && ended !== null && problem === null && Date.parse(began) > moved.at,
  );
  if (purged) return [];
  if (settings.purgeOldHome) {
    why.push("The old content is still on the system's disk, below the mount: it is to be removed.");
    return [{ do: 'purge-home' }];
  }
  why.push("The old content is still on the system's disk, below the mount; --purge-old-home removes it.");
  return [];
}
