import { SystemError, UsageError, errorMessage, unlessSystemError } from '../../lib/errors.ts';
import { findNamespaceProblems, isInitialPidNamespace } from '../../facts/mounts/namespace-check.ts';
import type { SystemReader } from '../../system/reader.ts';
import { readMounts } from './snapshot.ts';

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
 * Ensures that this process is in an image, and not in a running guest, from which `prepare --image` would remove the host keys:
 * either its root directory is not that of PID 1, or both are in a container. Nothing else is read of what the kernel shows,
 * unless the root directory of PID 1 is hidden.
 * @throws UsageError in a running guest
 */
export function requireImage(reader: SystemReader): void {
  if (!isRunningGuest(reader)) return;
  throw new UsageError(
    '--image is for the files of an image, in a chroot or a container: this is a running guest. Leave out --image',
  );
}

function isRunningGuest(reader: SystemReader): boolean {
  const isInitial = unlessSystemError(() => isInitialPidNamespace(reader)) === true;
  if (!isInitial) return false;
  try {
    // The link leads to the root directory of PID 1 as that process sees it (proc_pid_root(5)).
    const [first, own] = [reader.stat('/proc/1/root/.'), reader.stat('/')];
    return first !== undefined && first.device === own?.device && first.inode === own.inode;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    // A sandbox may hide the root of PID 1, but not its mounts.
    return problemsOf(reader).length === 0;
  }
}

function problemsOf(reader: SystemReader): string[] {
  try {
    return findNamespaceProblems(reader, readMounts(reader));
  } catch (error) {
    return [errorMessage(error)];
  }
}
