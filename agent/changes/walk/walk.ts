import { SystemError, errorMessage, isAbsent } from '../../lib/errors.ts';
import type { Directory, Entry } from '../../system/layers/directory.ts';
import type { XattrReader, Xattrs } from '../../system/layers/xattrs.ts';
import type { Report, Selection } from '../change.ts';
import {
  compareDirectory,
  compareFile,
  compareRoot,
  completeRename,
  isWhiteoutDevice,
  openCounterpart,
} from './compare.ts';
import { overlayMetadata } from './overlay-xattrs.ts';
import { type OpenLayer, type Place, type Seen, below, closing } from './place.ts';
import { type Decision, renameMatcher } from './renames.ts';

/** The depth at which a walk ends, because each level keeps three descriptors open. */
const deepest = 1000;

/**
 * Walks the upper layer and compares each entry with the lower layer. Reads a directory of the lower layer only if the
 * upper layer hides it (opaque).
 * @throws Error if extended attributes cannot be read at all; what cannot be read otherwise is reported as Unknown
 */
export async function walkLayer(
  layer: OpenLayer,
  xattrs: XattrReader,
  selected: Selection,
  report: Report,
): Promise<void> {
  const renames = renameMatcher();

  /** Reports the error of an action as Unknown. An entry that vanished meanwhile is not an error. */
  async function attempt<T>(path: string, action: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (!isAbsent(error)) await report({ path, layer: layer.target, error: errorMessage(error) });
      return undefined;
    }
  }

  async function decide({ report: now, match }: Decision): Promise<void> {
    for (const each of now) await report(each);
    if (match === undefined) return;
    const { renamed, source } = match;
    const change = await attempt(renamed.path, () => completeRename(layer, xattrs, renamed, source));
    if (change !== undefined) await report(change);
  }

  async function visitContents(place: Place): Promise<void> {
    await attempt(place.path, async () => {
      if (place.depth > deepest) throw new SystemError(`deeper than ${deepest} directories, not read`);
      for (const names of place.upper.names()) await part(place, names);
      if (!place.merged && place.lower !== undefined) await hiddenEntries(place, place.lower);
    });
  }

  /** Compares a part of the entries of a directory. */
  async function part(place: Place, names: readonly string[]): Promise<void> {
    const found: { name: string; path: string; upper: Entry; lower: Entry | undefined }[] = [];
    for (const name of names) {
      const path = `${place.path}/${name}`;
      if (!selected.leadsTo(path)) continue;
      const each = await attempt(path, () => {
        const upper = place.upper.stat(name);
        return upper && { name, path, upper, lower: lowerEntry(place.lower, name) };
      });
      if (each !== undefined) found.push(each);
    }
    const [own, its] = await attributesOf(place, found);
    for (const [index, each] of found.entries()) {
      await attempt(each.path, async () => {
        const attributes = attributesFrom(own[index]);
        const other = its[index];
        const lowerXattrs = other === undefined ? undefined : attributesFrom(other);
        const metadata = overlayMetadata(attributes);
        await entry(place, { ...each, xattrs: attributes, lowerXattrs, metadata });
      });
    }
  }

  /** Reads the attributes of the entries, and of their counterparts of the same type. */
  async function attributesOf(
    place: Place,
    found: readonly Pick<Seen, 'name' | 'upper' | 'lower'>[],
  ): Promise<[Answer[], (Answer | undefined)[]]> {
    const { lower } = place;
    const pairs = found.filter((each) => each.lower?.type === each.upper.type && lower !== undefined);
    const answers = await xattrs.read([
      ...found.map(({ name }) => place.upper.path(name)),
      ...pairs.map(({ name }) => lower?.path(name) ?? ''),
    ]);
    const others = new Map(pairs.map((each, index) => [each, answers[found.length + index]]));
    return [answers.slice(0, found.length), found.map((each) => others.get(each))];
  }

  async function entry(place: Place, seen: Seen): Promise<void> {
    const { path, upper, lower } = seen;
    // A whiteout of the second form without a file to delete would be an empty file.
    const isEmptyWhiteout = seen.metadata.whiteout && upper.type === 'file' && upper.size === 0;
    if (isWhiteoutDevice(upper) || (isEmptyWhiteout && lower !== undefined)) {
      if (lower !== undefined) await deleted(path, lower, below(place.lowerAt, seen.name));
    } else if (upper.type === 'directory') {
      await visitDirectory(place, seen);
    } else if (selected.has(path)) {
      const { change, source, target } = await compareFile(layer, place, seen);
      if (source !== undefined) await decide(renames.source(source));
      if (target !== undefined) await decide(renames.target(target));
      if (change !== undefined) await report(change);
    }
  }

  async function deleted(path: string, lower: Entry, lowerAt: string): Promise<void> {
    if (!selected.has(path)) return;
    const change = 'deleted' as const;
    const none = { what: [], xattrs: [], capable: false };
    const its = { ...lower, path, layer: layer.target, change, ...none, lowerAt };
    await decide(renames.source({ inode: lower.inode, path, lowerAt, deleted: its }));
  }

  async function visitDirectory(place: Place, seen: Seen): Promise<void> {
    await closing(openCounterpart(layer, place, seen), async (counterpart) => {
      const { lower, lowerAt, merged, redirected } = counterpart;
      if (selected.has(seen.path)) {
        const change = await compareDirectory(layer, place, seen, counterpart, xattrs);
        if (redirected && lower !== undefined) renames.expect(lower.entry.inode);
        if (change !== undefined) await report(change);
      }
      const at = below(place.at, seen.name);
      const [records, depth] = [seen.metadata.copied, place.depth + 1];
      await closing(place.upper.open(seen.name), (upper) =>
        visitContents({ path: seen.path, at, upper, lower, lowerAt, merged, records, depth }),
      );
    });
  }

  /** Reports the entries of the lower directory that an opaque directory does not show. */
  async function hiddenEntries(place: Place, lower: Directory): Promise<void> {
    for (const names of lower.names()) {
      for (const name of names) {
        const path = `${place.path}/${name}`;
        await attempt(path, async () => {
          // A whiteout was reported together with the other entries of the upper directory.
          if (!selected.has(path) || place.upper.stat(name) !== undefined) return;
          const found = lowerEntry(lower, name);
          if (found !== undefined) await deleted(path, found, below(place.lowerAt, name));
        });
      }
    }
  }

  const { target, upper, lower } = layer;
  if (lower !== undefined && selected.has(target)) {
    const change = compareRoot(layer, upper.entry, lower.entry);
    if (change !== undefined) await report(change);
  }
  const path = target === '/' ? '' : target;
  await visitContents({ path, at: '', upper, lower, lowerAt: '', merged: true, records: false, depth: 0 });
  for (const each of renames.end()) await report(each);
}

type Answer = Xattrs | { error: string };

/** @throws SystemError with the error code */
function attributesFrom(answer: Answer | undefined): Xattrs {
  if (answer === undefined || 'error' in answer) {
    const code = answer?.error ?? '';
    throw new SystemError(`its extended attributes cannot be read (${code})`, code);
  }
  return answer;
}

/** Also returns undefined for a whiteout in the lower layer, which the overlay does not show. */
function lowerEntry(lower: Directory | undefined, name: string): Entry | undefined {
  const found = lower?.stat(name);
  return found !== undefined && isWhiteoutDevice(found) ? undefined : found;
}
