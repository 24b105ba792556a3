import { containerDirectories } from '../../../assess/scratch-proposal.ts';
import type { Conflict } from '../../engine/step.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
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
type SpecialFile = Omit<Conflict, 'target'>;

/**
 * Finds the files that nosuid or nodev makes useless. Whiteouts (character devices 0:0), which overlayfs uses, are no
 * devices. The step `var` searches what a sealed boot places an overlay over; a single walk searches the rest.
 * @param roots the folders to search, each without the file systems mounted below it
 * @returns the files, in the order of the roots; and the reason why a search is incomplete, or undefined
 */
async function findSpecialFiles(
  look: Snapshot,
  roots: readonly string[],
): Promise<{ files: SpecialFile[]; incomplete: string | undefined }> {
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

function inOrder(files: readonly SpecialFile[], roots: readonly string[]): SpecialFile[] {
  const longestFirst = roots.toSorted((one, other) => other.length - one.length);
  const position = ({ file }: SpecialFile) =>
    roots.indexOf(longestFirst.find((root) => isBelow(file, root)) ?? '');
  return files.toSorted((one, other) => position(one) - position(other));
}

/** The timeout of the search, in milliseconds. */
const limit = 120_000;

/** @returns the files; or, as a text, the reason why the search is incomplete */
async function searchRoots(reader: SystemReader, roots: readonly string[]): Promise<SpecialFile[] | string> {
  if (roots.length === 0) return [];
  const wanted = ['(', '-type', 'f', '-perm', '/6000', '-o', '-type', 'b', '-o', '-type', 'c', ')'];
  const print = ['-exec', '/usr/bin/stat', '--printf', '%t:%T %f %n\\0', '--', '{}', '+'];
  const args = [
    ...roots,
    '-ignore_readdir_race',
    '-xdev',
    ...prune(containerDirectories),
    ...wanted,
    ...print,
  ];
  const { stdout, ended } = await reader.run('/usr/bin/find', args, limit);
  return whyIncomplete(roots, ended) ?? stdout.split('\0').flatMap(parseRecord);
}

async function searchLayer({ layerFiles }: Snapshot, root: string): Promise<SpecialFile[] | string> {
  const { found, ended, full } = await layerFiles(root);
  const isFull = full.has('programs') || full.has('devices');
  return (
    whyIncomplete([root], isFull ? 'full' : ended) ?? [
      ...found.programs.map((file) => ({ option: 'nosuid', file, by: '' }) as const),
      ...found.devices.map((file) => ({ option: 'nodev', file, by: '' }) as const),
    ]
  );
}

/** find also exits with 1 if it cannot read a directory, and stat if a file has vanished. Everything else was searched. */
function whyIncomplete(roots: readonly string[], ended: Ended['ended']): string | undefined {
  const search = `the search for set-user-ID programs and device files below ${roots.join(' ')}`;
  if (ended === 'deadline') return `${search} was not complete after ${limit / 1000} s`;
  if (ended === 'full')
    return `${search} found too many files (more than 16 MiB of names): give the directory a file system of its own, or leave nosuid and nodev out there`;
  return undefined;
}

/** Parses "MAJOR:MINOR MODE PATH"; the numbers are hexadecimal. */
function parseRecord(record: string): SpecialFile[] {
  const [, device = '', mode = '', file] = /^([\da-f]+:[\da-f]+) ([\da-f]+) (\/.*)$/s.exec(record) ?? [];
  if (file === undefined) return [];
  // S_IFMT and S_IFREG (inode(7))
  if ((parseInt(mode, 16) & 0o170000) === 0o100000) return [{ option: 'nosuid', file, by: '' }];
  return device === '0:0' ? [] : [{ option: 'nodev', file, by: '' }];
}
