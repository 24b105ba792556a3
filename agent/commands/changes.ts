import path from 'node:path';
import { categoryOf, ignoredByDefault, ignores } from '../changes/category.ts';
import {
  type Change,
  type Selection,
  type Unknown,
  bytesOf,
  isUnknown,
  selection,
} from '../changes/change.ts';
import { type Comparison, compareLayers } from '../changes/changes.ts';
import { diffFile } from '../changes/file-diff.ts';
import { changeObject, jsonLine, unknownObject } from '../changes/json.ts';
import { type Remembered, readRemembered } from '../changes/since.ts';
import { findLosses, lossJson, lossTable } from '../changes/state.ts';
import { describeChange, shownPath, summarize } from '../changes/summary.ts';
import { type OpenLayer, withFile } from '../changes/walk/place.ts';
import { isBelow } from '../facts/mounts/mountinfo.ts';
import { SystemError, UsageError } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import { keepHeapSmall } from '../lib/memory.ts';
import { clean } from '../lib/unprintable.ts';
import { sha256Of } from '../system/layers/content.ts';
import type { SystemReader } from '../system/reader.ts';
import type { SystemWriter } from '../system/writer.ts';
import type { Output } from './output.ts';

/** The options of `changes`. */
export interface ChangesOptions {
  all?: boolean;
  json?: boolean;
  sha256?: boolean;
  diff?: boolean;
  ignore?: string[];
  sinceReport?: boolean;
  export?: string;
  maxSize?: string;
  state?: boolean;
}

/**
 * `changes`: shows what differs between the writable layers and the sealed disk.
 * @returns the exit code: 0 if everything could be compared, 3 if not, 4 if there is no layer by intent
 */
export async function changesCommand(
  reader: SystemReader,
  loadWriter: () => Promise<SystemWriter>,
  output: Output,
  paths: readonly string[],
  options: ChangesOptions,
): Promise<number> {
  checkOptions(paths, options);
  if (reader.environment().uid !== 0)
    throw new SystemError('changes must run as root, because only root can read the layers');
  keepHeapSmall();
  const comparison = compareLayers(reader);
  const warn = (text: string) => output.stderr(`immutafs-agent: ${clean(text)}\n`);
  for (const each of [...comparison.problems, ...comparison.notes]) warn(each);
  if (comparison.noLayer !== undefined) {
    if (options.json === true || options.export !== undefined) warn(comparison.noLayer);
    else output.stdout(`${comparison.noLayer}\n`);
    return 4;
  }
  if (options.state === true) return showState(reader, output, comparison, options, warn);
  const selected = selection(paths.map((each) => selectedPath(comparison, each)));
  const writeTo = async (file: string) => {
    const { exportChanges } = await import('../changes/export/export.ts');
    return exportChanges(reader, comparison, selected, warn, file, options.maxSize, output.terminal);
  };
  const isComplete =
    options.export === undefined
      ? await show(reader, loadWriter, output, comparison, selected, options, warn)
      : await writeTo(options.export);
  return isComplete && comparison.problems.length === 0 ? 0 : 3;
}

/** Prints what the next reboot loses. */
function showState(
  reader: SystemReader,
  output: Output,
  { mounts, layers, problems }: Comparison,
  { json }: ChangesOptions,
  warn: (text: string) => void,
): number {
  const { losses, isComplete } = findLosses(reader, mounts, layers);
  if (json === true) for (const loss of losses) output.stdout(`${lossJson(loss)}\n`);
  else if (losses.length > 0) output.stdout(`${lossTable(losses).join('\n')}\n`);
  if (losses.length === 0 && json !== true)
    output.stdout(
      'The next reboot loses no state, except what was accepted. Logs, caches and the like are reset.\n',
    );
  if (!isComplete) warn('not every entry of the layers was read, because there are too many');
  return isComplete && problems.length === 0 ? 0 : 3;
}

function checkOptions(paths: readonly string[], options: ChangesOptions): void {
  if (options.sha256 === true && options.json !== true) throw new UsageError('--sha256 needs --json');
  if (options.maxSize !== undefined && options.export === undefined)
    throw new UsageError('--max-size needs --export');
  if (options.state === true && paths.length > 0) throw new UsageError('--state takes no PATH');
  if (options.sinceReport === true && paths.length > 0)
    throw new UsageError('--since-report remembers all changes, so it takes no PATH');
}

/** Prints the changes. @returns whether everything could be compared */
async function show(
  reader: SystemReader,
  loadWriter: () => Promise<SystemWriter>,
  output: Output,
  comparison: Comparison,
  selected: Selection,
  options: ChangesOptions,
  warn: (text: string) => void,
): Promise<boolean> {
  const remembered = options.sinceReport === true ? readRemembered(reader) : undefined;
  const view = viewFor(output, options);
  let count = comparison.problems.length;
  const problem = (path: string, error: string) => {
    count += 1;
    warn(`${shownPath(path)}: ${decodeBytes(error)}`);
  };
  await comparison.run(selected, async (found, layer) => {
    if (isUnknown(found)) {
      problem(found.path, found.error);
      view.unknown?.(found);
      return;
    }
    if (remembered !== undefined && !(await isNew(remembered, found, layer))) return;
    const error = await view.show(found, layer);
    if (error !== undefined) problem(found.path, error);
  });
  view.end?.(count === 0);
  if (remembered !== undefined) {
    const omitted = remembered.store(await loadWriter());
    if (omitted > 0)
      warn(`${omitted} changes are too many to be remembered, so the next report repeats them`);
  }
  return count === 0;
}

/** A notable file whose content cannot be read is new each time. */
async function isNew(remembered: Remembered, change: Change, layer: OpenLayer | undefined): Promise<boolean> {
  if (categoryOf(change) === undefined) return remembered.isNew(change);
  const { sha256 = '', error } = await hashOf(change, layer);
  return error !== undefined || remembered.isNew(change, sha256);
}

/**
 * Returns a path of the command line, one character per byte (latin1).
 * @throws UsageError if no layer contains the path
 */
function selectedPath({ layers, mounts }: Comparison, given: string): string {
  const full = path.resolve(given);
  const inLayer = layers.some(({ target }) => isBelow(full, target) || isBelow(target, full));
  if (!inLayer && !/^\/(run|home|root)(\/|$)/.test(full)) {
    const type = mounts.serving(full)?.type ?? 'another file system';
    const why =
      type === 'tmpfs'
        ? 'a tmpfs, where everything is new since boot'
        : `${type}, not a layer over the sealed disk`;
    throw new UsageError(`${full} is on ${why}`);
  }
  return bytesOf(full);
}

/** How changes are printed. */
interface View {
  /** @returns the error if a file could not be read */
  show(change: Change, layer: OpenLayer | undefined): Promise<string | undefined> | undefined;
  unknown?(found: Unknown): void;
  end?(isComplete: boolean): void;
}

/** Returns the view that the options select. */
function viewFor({ stdout }: Output, { json, sha256, diff, all, ignore }: ChangesOptions): View {
  const { print, end } = linePrinter(stdout);
  if (json === true)
    return {
      show: async (change, layer) => {
        const { error, ...more } = sha256 === true ? await hashOf(change, layer) : {};
        print(jsonLine({ ...changeObject(change), ...more }));
        return error;
      },
      unknown: (found) => print(jsonLine(unknownObject(found))),
      end,
    };
  if (diff === true)
    return {
      show: async (change, layer) => {
        const { lines, error } = await diffFile(change, layer);
        stdout(lines.map((line) => `${line}\n`).join(''));
        return error;
      },
    };
  if (all === true)
    return {
      show: (change) => {
        print(`${describeChange(change)}\n`);
        return undefined;
      },
      end,
    };
  const patterns = ignore?.map(bytesOf) ?? ignoredByDefault;
  const summary = summarize(ignores(patterns.filter((each) => each !== '')));
  return {
    show: (change) => {
      summary.add(change);
      return undefined;
    },
    end: (isComplete) => {
      const lines = summary.lines(isComplete);
      stdout(lines.map((line) => `${line}\n`).join(''));
    },
  };
}

/** The number of characters that are written at once. A write for each line would take a quarter of the time. */
const written = 65536;

/** Collects lines, but prints the first one at once. */
function linePrinter(stdout: Output['stdout']): { print: (line: string) => void; end: () => void } {
  let waiting = '';
  let isFirst = true;
  const end = () => {
    if (waiting !== '') stdout(waiting);
    waiting = '';
  };
  return {
    print: (line) => {
      waiting += line;
      if (isFirst || waiting.length >= written) end();
      isFirst = false;
    },
    end,
  };
}

/** Returns the SHA-256 of a regular file in a layer; nothing for other changes. */
async function hashOf(
  { at, type }: Change,
  layer: OpenLayer | undefined,
): Promise<{ sha256?: string; error?: string }> {
  if (layer === undefined || at === undefined || type !== 'file') return {};
  try {
    return { sha256: await withFile(layer.upper, at, sha256Of) };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { error: error.message };
  }
}
