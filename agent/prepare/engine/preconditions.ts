import path from 'node:path';
import { SystemError, UsageError, unlessSystemError } from '../../lib/errors.ts';
import { findNamespaceProblems, isInitialPidNamespace } from '../../facts/mounts/namespace-check.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Snapshot } from './snapshot.ts';
import { blockNodes, differingTarget, differsFromBelow, findLeaves } from '../../facts/disks/block.ts';
import { shortList } from '../../lib/format.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';
import { observe } from '../../facts/observed.ts';

/**
 * Ensures that this process has the root directory, the mounts and the processes of the guest. In a chroot, in a
 * container or in a mount namespace of its own, /proc and /sys describe the machine around it, so that `prepare` would
 * plan for the disks of another system than the one whose files it changes.
 * @throws UsageError that names each difference; also if /proc is missing
 */
export function requireOwnSystem(reader: SystemReader): void {
  // Other users cannot examine PID 1. The plan refuses them.
  if (reader.environment().uid !== 0) return;
  const problems = problemsOf(reader);
  if (problems.length === 0) return;
  throw new UsageError(
    `prepare cannot work in a chroot, a container or a mount namespace of its own: ${problems.slice(0, 10).join('; ')}. Run it from a login shell of the guest that is to be prepared; for the files of an image, in the image, use --image`,
  );
}

/**
 * Ensures that this process is in an image, and not in a running guest or system container, from which `prepare --image` would
 * remove the host keys: either its root directory is not that of PID 1, or both are in a container that systemd has not booted.
 * Nothing else is read of what the kernel shows, unless the root directory of PID 1 is hidden.
 * @throws UsageError in a running guest or system container
 */
export function requireImage(reader: SystemReader): void {
  const isInitial = unlessSystemError(() => isInitialPidNamespace(reader)) === true;
  if (isInitial && hasRootOfFirst(reader, () => problemsOf(reader).length === 0)) {
    throw new UsageError(
      '--image is for the files of an image, in a chroot or a container: this is a running guest. Leave out --image',
    );
  }
  if (!isInitial && isBooted(reader) && hasRootOfFirst(reader, () => true)) {
    throw new UsageError(
      '--image is for the files of an image, in a chroot or a container: systemd runs in this container, whose host keys and machine ID would be removed. Stop the container, and use --image in a chroot in its files',
    );
  }
}

/**
 * Whether PID 1 has the root directory of this process.
 * @param otherwise decides if the root directory of PID 1 is hidden
 */
function hasRootOfFirst(reader: SystemReader, otherwise: () => boolean): boolean {
  try {
    // The link leads to the root directory of PID 1 as that process sees it (proc_pid_root(5)).
    const [first, own] = [reader.stat('/proc/1/root/.'), reader.stat('/')];
    return first !== undefined && first.device === own?.device && first.inode === own.inode;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    // A sandbox may hide the root of PID 1, but not its mounts.
    return otherwise();
  }
}

/** Whether systemd is PID 1. If its program is hidden, whether systemd has created its directory (sd_booted(3)). */
function isBooted(reader: SystemReader): boolean {
  const program = unlessSystemError(() => reader.link('/proc/1/exe'));
  if (program !== undefined) return /\/systemd( \(deleted\))?$/.test(program);
  return unlessSystemError(() => reader.stat('/run/systemd/system')) !== undefined;
}

function problemsOf(reader: SystemReader): string[] {
  const found = observe(() => findNamespaceProblems(reader, readMountTable(reader)));
  return 'error' in found ? [found.error] : found.value;
}

/**
 * The targets of device-mapper that map blocks by metadata of their own, which they write to the disk
 * (Documentation/admin-guide/device-mapper/), as messages show them.
 */
const writers: Readonly<Record<string, string>> = {
  thin: 'a thin volume',
  'thin-pool': 'a thin pool',
  cache: 'a cached volume',
  writecache: 'a cached volume',
  era: 'an era volume',
  vdo: 'a VDO volume',
};

/**
 * Returns why the guest would not count as sealed once the host makes the system disk read-only: a device on the disk has
 * content that does not follow from the disk alone (differsFromBelow). Undefined if there is none. The kernel's tables decide,
 * because names can be chosen.
 * @throws SystemError if the tables of device-mapper cannot be read
 */
export function unsealableDevices({ reader, systemDisks }: Snapshot): string | undefined {
  const disks = new Set(systemDisks.disks.map(({ name }) => name));
  const problems = blockNodes(reader).flatMap((node) => {
    const differs = differsFromBelow(reader, node);
    if (differs === undefined) return [];
    const target = differingTarget(reader, node) ?? '';
    const what = writers[target];
    // Other devices matter only below a file system that is to be sealed. Such a device is a disk of its own.
    const matters = what === undefined ? disks.has(path.basename(node)) : isOn(reader, node, disks);
    if (!matters) return [];
    return [what === undefined ? differs : `${shownName(reader, node)} is ${what} (target ${target})`];
  });
  if (problems.length === 0) return undefined;
  return `The system disk cannot be sealed: ${shortList(problems, '; ', 4)}. LVM thin pools, caches, VDO and Stratis write metadata of their own, which decides what a block contains, so that a guest on them never counts as sealed. Move the file systems to ordinary logical volumes or partitions, or to a data disk that stays writable, and remove these devices; then run prepare again.`;
}

function isOn(reader: SystemReader, node: string, disks: ReadonlySet<string>): boolean {
  return findLeaves(reader, node).some((leaf) => disks.has(path.basename(leaf)));
}

/** Returns "NAME (dm-4)"; Stratis is recognised by the UUID that stratisd gives its devices. */
function shownName(reader: SystemReader, node: string): string {
  const read = (file: string) => reader.readIfPresent(`${node}/dm/${file}`)?.trim() ?? '';
  const owner = read('uuid').startsWith('stratis-') ? 'Stratis, ' : '';
  const name = read('name');
  return name === '' ? path.basename(node) : `${name} (${owner}${path.basename(node)})`;
}
