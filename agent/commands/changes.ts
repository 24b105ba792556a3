import path from 'node:path';
import { SystemError, UsageError } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import { keepHeapSmall } from '../lib/memory.ts';
import { clean } from '../lib/unprintable.ts';
import { findLosses, lossJson, lossLine } from '../changes/state.ts';
import { categoryOf } from '../changes/category.ts';
import { type Change, isUnknown } from '../changes/change.ts';
import { type Comparison, compareLayers } from '../changes/changes.ts';
import { isBelow } from '../facts/mounts/mountinfo.ts';
import { type Selection, selection } from '../changes/change.ts';
import { type Remembered, readRemembered } from '../changes/since.ts';
import { shownPath } from '../changes/summary.ts';
import type { SystemReader } from '../system/reader.ts';
import type { SystemWriter } from '../system/writer.ts';
import type { ChangesOptions } from './changes-options.ts';
import type { OpenLayer } from '../changes/walk/place.ts';
import { hashOf, viewFor } from './changes-view.ts';
import type { Output } from './output.ts';

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
  const isComplete =
    options.export === undefined
      ? await show(reader, loadWriter, output, comparison, selected, options, warn)
      : await writeExport(reader, output, comparison, selected, options.export, options.maxSize, warn);
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
  for (const loss of losses) output.stdout(`${json === true ? lossJson(loss) : lossLine(loss)}\n`);
  if (losses.length === 0 && json !== true)
    output.stdout('The next reboot loses nothing that is undecided. Logs, caches and the like are reset.\n');
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

async function writeExport(
  reader: SystemReader,
  { terminal }: Output,
  comparison: Comparison,
  selected: Selection,
  file: string,
  maxSize: string | undefined,
  warn: (text: string) => void,
): Promise<boolean> {
  const { exportChanges } = await import('../changes/export/export.ts');
  return exportChanges(reader, comparison, selected, warn, file, maxSize, terminal);
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
  const problems = { count: comparison.problems.length };
  const problem = (path: string, error: string) => {
    problems.count += 1;
    warn(`${shownPath(path)}: ${decodeBytes(error)}`);
  };
  await comparison.run(selected, async (found, layer) => {
    if (isUnknown(found)) problem(found.path, found.error);
    else if (remembered !== undefined && !(await isNew(remembered, found, layer))) return;
    const error = await view.show(found, layer);
    if (error !== undefined) problem(found.path, error);
  });
  view.end(problems.count === 0);
  if (remembered !== undefined) {
    const omitted = remembered.store(await loadWriter());
    if (omitted > 0)
      warn(`${omitted} changes are too many to be remembered, so the next report repeats them`);
  }
  return problems.count === 0;
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
  return Buffer.from(full).toString('latin1');
}
