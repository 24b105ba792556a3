import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/** Settings that keep a process from executing code that is in no file on an executable mount. */
export interface ExecBypass {
  /** vm.memfd_noexec of this PID namespace; undefined if the kernel does not have it (before 6.3). */
  memfdNoexec: number | undefined;
  /** Whether the kernel supports user namespaces. */
  userNamespaces: boolean;
  /** user.max_user_namespaces; undefined if the kernel does not have it (before 4.9; RHEL 7 has it). */
  maxUserNamespaces: number | undefined;
  /** kernel.unprivileged_userns_clone; undefined if the kernel does not have it (only Debian's kernels do). */
  unprivilegedUserns: number | undefined;
  /** kernel.apparmor_restrict_unprivileged_userns; undefined if the kernel does not have it. */
  apparmorRestrictsUserns: number | undefined;
  /** kernel.yama.ptrace_scope; undefined if the kernel does not have Yama. */
  ptraceScope: number | undefined;
}

/** @throws SystemError if a setting exists and cannot be read */
export function findExecBypass(reader: SystemReader): ExecBypass {
  const sysctl = (name: string) => readNumber(reader, `/proc/sys/${name.replaceAll('.', '/')}`);
  return {
    memfdNoexec: sysctl('vm.memfd_noexec'),
    userNamespaces: hasUserNamespaces(reader),
    maxUserNamespaces: sysctl('user.max_user_namespaces'),
    unprivilegedUserns: sysctl('kernel.unprivileged_userns_clone'),
    apparmorRestrictsUserns: sysctl('kernel.apparmor_restrict_unprivileged_userns'),
    ptraceScope: sysctl('kernel.yama.ptrace_scope'),
  };
}

function readNumber(reader: SystemReader, file: string): number | undefined {
  const text = reader.readIfPresent(file, 4096)?.trim();
  if (text === undefined) return undefined;
  if (!/^-?\d+$/.test(text)) throw new Error(`${file}: not a number: ${text.slice(0, 20)}`);
  return Number(text);
}

/** Whether /proc/self/ns/user exists (namespaces(7)). */
function hasUserNamespaces(reader: SystemReader): boolean {
  try {
    return reader.link('/proc/self/ns/user') !== '';
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
