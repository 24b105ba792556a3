import { UsageError, errorMessage } from '../../lib/errors.ts';
import { findNamespaceProblems } from '../../facts/mounts/namespace-check.ts';
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
    `prepare cannot work in a chroot, a container or a mount namespace of its own: ${problems.slice(0, 10).join('; ')}. Run it from a login shell of the guest that is to be prepared`,
  );
}

function problemsOf(reader: SystemReader): string[] {
  try {
    return findNamespaceProblems(reader, readMounts(reader));
  } catch (error) {
    return [errorMessage(error)];
  }
}
