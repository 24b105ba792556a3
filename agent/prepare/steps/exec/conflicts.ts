import { containerDirectories } from '../../../assess/scratch-proposal.ts';
import type { Conflict } from '../../engine/step.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import {
  type SpecialFile,
  isSpecial,
  parseSpecial,
  printSpecial,
  searchLimit,
} from '../../engine/special-files.ts';
import { type Running, findNamedFiles } from './running.ts';
import { type MountTarget, mountTargetOf } from './mount-targets.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import type { Ended, SystemReader } from '../../../system/reader.ts';
import { layeredRoots, planOverlays } from '../layers.ts';
import { prune } from '../../../system/find.ts';

/**
 * Whether an option may break a file of a target. An option that the mount already has cannot break a running program.
 * At the end of the shutdown, programs may run from /run/initramfs in any case (immutafs-mount-options@run.service).
 */
export function isOpen(target: MountTarget | undefined, option: Conflict['option'], file: string): boolean {
  if (target === undefined || file.startsWith('/run/initramfs/')) return false;
  return target.options.includes(option) && !target.present.includes(option);
}

/**
 * Finds everything that an option of a target would make unusable.
 * @returns the conflicts; and the reason why the search is incomplete, or undefined
 */
export async function findConflicts(
  look: Snapshot,
  targets: readonly MountTarget[],
  running: Running,
): Promise<{ found: Conflict[]; incomplete: string | undefined }> {
  const { reader, mounts, settings } = look;
  const isRestricted = (file: string) => isOpen(mountTargetOf(targets, file), 'noexec', file);
  const executed = [...running.files, ...findNamedFiles(reader, isRestricted)].map(
    ({ file, by }) => ({ option: 'noexec', file, by }) as const,
  );
  const searched = targets.filter(
    ({ options, present, mayHang, target }) =>
      !mayHang &&
      !target.endsWith('*') &&
      reader.stat(target)?.kind === 'directory' &&
      options.some((option) => option !== 'noexec' && !present.includes(option)),
  );
  settings.progress('Searching for set-user-ID programs and device files');
  const roots = searched.map(({ target }) => target).filter((target) => isRoot(searched, target, mounts));
  const { files, incomplete } = await findSpecialFiles(look, roots);
  const found = [...executed, ...files].flatMap(({ option, file, by }) => {
    const own = mountTargetOf(targets, file);
    return own !== undefined && isOpen(own, option, file) ? [{ option, target: own.target, file, by }] : [];
  });
  return { found, incomplete };
}

/** Whether the search of another target does not include a target: its mount differs. */
function isRoot(targets: readonly MountTarget[], target: string, mounts: Snapshot['mounts']): boolean {
  const others = targets.filter((each) => each.target !== target);
  const above = mountTargetOf(others, target);
  return above === undefined || mounts.serving(above.target) !== mounts.serving(target);
}

/** A set-user-ID or set-group-ID program, or a device file. */
type Unusable = Omit<Conflict, 'target'>;

/**
 * Finds the files that nosuid or nodev makes useless. Whiteouts (character devices 0:0), which overlayfs uses, are no
 * devices. The step `var` searches what a sealed boot places an overlay over; a single walk searches the rest.
 * @param roots the folders to search, each without the file systems mounted below it
 * @returns the files, in the order of the roots; and the reason why a search is incomplete, or undefined
 */
async function findSpecialFiles(
  look: Snapshot,
  roots: readonly string[],
): Promise<{ files: Unusable[]; incomplete: string | undefined }> {
  const layered = new Set([...layeredRoots(look), ...planOverlays(look).targets]);
  const searches = [
    await searchRoots(
      look.reader,
      roots.filter((root) => !layered.has(root)),
    ),
  ];
  for (const root of roots) if (layered.has(root)) searches.push(await searchLayer(look, root));
  const failed = searches.filter((each) => typeof each === 'string');
  const files = searches.flatMap((each) => (typeof each === 'string' ? [] : each));
  return { files: inOrder(files, roots), incomplete: failed.length === 0 ? undefined : failed.join('; ') };
}

function inOrder(files: readonly Unusable[], roots: readonly string[]): Unusable[] {
  const longestFirst = roots.toSorted((one, other) => other.length - one.length);
  const position = ({ file }: Unusable) =>
    roots.indexOf(longestFirst.find((root) => isBelow(file, root)) ?? '');
  return files.toSorted((one, other) => position(one) - position(other));
}

/** @returns the files; or, as a text, the reason why the search is incomplete */
async function searchRoots(reader: SystemReader, roots: readonly string[]): Promise<Unusable[] | string> {
  if (roots.length === 0) return [];
  const args = [
    ...roots,
    '-ignore_readdir_race',
    '-xdev',
    ...prune(containerDirectories),
    ...isSpecial,
    ...printSpecial,
  ];
  const { stdout, ended } = await reader.run('/usr/bin/find', args, searchLimit);
  const files = stdout.split('\0').flatMap((record) => parseSpecial(record) ?? []);
  return whyIncomplete(roots, ended) ?? files.flatMap(unusable);
}

async function searchLayer({ layerFiles }: Snapshot, root: string): Promise<Unusable[] | string> {
  const { found, ended, full } = await layerFiles(root);
  const isFull = full.has('programs') || full.has('devices');
  const files = (['programs', 'devices'] as const).flatMap((kind) =>
    found[kind].map((path) => ({ kind, path })),
  );
  return whyIncomplete([root], isFull ? 'full' : ended) ?? files.flatMap(unusable);
}

function unusable({ kind, path }: SpecialFile): Unusable[] {
  return kind === 'whiteouts'
    ? []
    : [{ option: kind === 'programs' ? 'nosuid' : 'nodev', file: path, by: '' }];
}

/** find also exits with 1 if it cannot read a directory, and stat if a file has vanished. Everything else was searched. */
function whyIncomplete(roots: readonly string[], ended: Ended['ended']): string | undefined {
  const search = `the search for set-user-ID programs and device files below ${roots.join(' ')}`;
  if (ended === 'deadline') return `${search} was not complete after ${searchLimit / 1000} s`;
  if (ended === 'full')
    return `${search} found too many files (more than 16 MiB of names): give the directory a file system of its own, or omit nosuid and nodev for this path in MOUNT_OPTIONS`;
  return undefined;
}
