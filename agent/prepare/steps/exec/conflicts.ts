import { containerDirectories } from '../../../assess/scratch-proposal.ts';
import type { Conflict } from '../../engine/step.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { findNamedFiles } from './named-files.ts';
import { type MountTarget, mountTargetOf } from './mount-targets.ts';
import type { Running } from './running.ts';
import { findSpecialFiles } from './special-files.ts';

export interface Conflicts {
  found: Conflict[];
  /** The reason why the search is incomplete; undefined if it is complete. */
  incomplete: string | undefined;
}

/**
 * Whether an option may break a file of a target. An option that the mount already has cannot break a running program.
 * At the end of the shutdown, programs may run from /run/initramfs in any case (immutafs-mount-options@run.service).
 */
export function isOpen(target: MountTarget | undefined, option: Conflict['option'], file: string): boolean {
  if (target === undefined || file.startsWith('/run/initramfs/')) return false;
  return target.options.includes(option) && !target.present.includes(option);
}

/** Finds everything that an option of a target would make unusable. */
export async function findConflicts(
  { reader, mounts, settings }: Snapshot,
  targets: readonly MountTarget[],
  running: Running,
): Promise<Conflicts> {
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
  const special = await findSpecialFiles(reader, roots, containerDirectories);
  const existing = typeof special === 'string' ? [] : special.map((each) => ({ ...each, by: '' }));
  const found = [...executed, ...existing].flatMap(({ option, file, by }) => {
    const own = mountTargetOf(targets, file);
    return own !== undefined && isOpen(own, option, file) ? [{ option, target: own.target, file, by }] : [];
  });
  return { found, incomplete: typeof special === 'string' ? special : undefined };
}

/** Whether the search of another target does not include a target: its mount differs. */
function isRoot(targets: readonly MountTarget[], target: string, mounts: Snapshot['mounts']): boolean {
  const others = targets.filter((each) => each.target !== target);
  const above = mountTargetOf(others, target);
  return above === undefined || mounts.serving(above.target) !== mounts.serving(target);
}
