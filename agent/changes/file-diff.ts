import { SystemError, errorMessage } from '../lib/errors.ts';
import { unifiedHunks } from '../lib/diff.ts';
import { decodeBytes, formatBytes } from '../lib/format.ts';
import { escapeUnprintable } from '../lib/unprintable.ts';
import { readInPieces } from '../system/layers/content.ts';
import type { Directory } from '../system/layers/directory.ts';
import type { Change } from './change.ts';
import { shownPath } from './summary.ts';
import { type OpenLayer, withFile } from './walk/place.ts';

/** The size up to which the content of a file is shown, in bytes. */
const largest = 1024 * 1024;

/** The lines of a diff, and the error if a file could not be read. */
interface FileDiff {
  lines: string[];
  error?: string;
}

/**
 * Returns a unified diff of a changed file. A new or deleted file is compared with an empty one. Returns one line for a
 * file that is not text or too large, and none for a change without content.
 */
export async function diffFile(change: Change, layer: OpenLayer | undefined): Promise<FileDiff> {
  const isContent = change.change !== 'modified' || change.what.includes('content');
  if (change.type !== 'file' || layer === undefined || !isContent) return { lines: [] };
  const path = shownPath(change.path);
  try {
    const isDeleted = change.change === 'deleted';
    const hasLower = change.lowerAt !== undefined && (change.was ?? 'file') === 'file';
    const before = hasLower ? await textBelow(layer.lower, change.lowerAt) : '';
    const after = isDeleted ? '' : await textBelow(layer.upper, change.at);
    if (before === undefined || after === undefined)
      return { lines: [`${path}: larger than ${formatBytes(largest)}, not shown`] };
    if (before.includes('\0') || after.includes('\0'))
      return { lines: [`${path}: not text, ${formatBytes(change.size)}`] };
    const hunks = unifiedHunks(before, after);
    if (hunks === undefined) return { lines: [`${path}: differs in too many lines, not shown`] };
    const head = [
      `--- ${hasLower ? shownPath(change.from ?? change.path) : '/dev/null'}`,
      `+++ ${isDeleted ? '/dev/null' : path}`,
    ];
    return { lines: hunks.length === 0 ? [] : [...head, ...hunks.map(shownLine)] };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { lines: [], error: errorMessage(error) };
  }
}

/** @returns one character per byte (latin1); undefined if the file is too large */
async function textBelow(root: Directory | undefined, at: string | undefined): Promise<string | undefined> {
  if (root === undefined || at === undefined) return '';
  return withFile(root, at, async (file) => {
    const { size } = file.stat();
    if (size > largest) return undefined;
    const parts: Buffer[] = [];
    for await (const piece of readInPieces(file, size)) parts.push(piece);
    return Buffer.concat(parts).toString('latin1');
  });
}

function shownLine(line: string): string {
  return escapeUnprintable(decodeBytes(line)).replaceAll('\\\\', '\\').replaceAll('\\t', '\t');
}
