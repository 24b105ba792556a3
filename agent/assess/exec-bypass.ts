import type { ExecBypass, Lockdown } from '../facts/security/kernel-settings.ts';

/** A means to execute code although every writable file system is mounted with noexec. */
export interface Bypass {
  name: 'memfd' | 'user-namespaces' | 'ptrace' | 'modules' | 'kexec';
  /** The sysctl or kernel argument that closes it, as NAME=VALUE; undefined if this kernel has none. */
  closedBy: string | undefined;
}

/** The setting of Yama (kernel: Documentation/admin-guide/LSM/Yama.rst). */
export const ptraceSysctl = 'kernel.yama.ptrace_scope';

/** Returns the bypasses that are open now. */
export function openBypasses(settings: ExecBypass, lockdown: Lockdown): Bypass[] {
  const { memfdNoexec, ptraceScope } = settings;
  const isLocked = (lockdown.lockdown ?? 'none') !== 'none';
  const isSigned = lockdown.signaturesEnforced === true || lockdown.modulesDisabled === true;
  const bypasses: (Bypass & { closed: boolean })[] = [
    {
      name: 'memfd',
      closed: memfdNoexec === 2,
      closedBy: memfdNoexec === undefined ? undefined : 'vm.memfd_noexec=2',
    },
    { name: 'user-namespaces', closed: areUserNamespacesClosed(settings), closedBy: usernsSysctl(settings) },
    {
      name: 'ptrace',
      // With 1, a process can still write into the memory of its own descendants.
      closed: (ptraceScope ?? 0) >= 1,
      closedBy: ptraceScope === undefined ? undefined : `${ptraceSysctl}=1`,
    },
    { name: 'modules', closed: isLocked || isSigned, closedBy: 'module.sig_enforce=1' },
    {
      name: 'kexec',
      closed: isLocked || lockdown.kexecDisabled === true,
      closedBy: lockdown.kexecDisabled === undefined ? undefined : 'kernel.kexec_load_disabled=1',
    },
  ];
  return bypasses.filter(({ closed }) => !closed).map(({ name, closedBy }) => ({ name, closedBy }));
}

function areUserNamespacesClosed(settings: ExecBypass): boolean {
  const { userNamespaces, maxUserNamespaces, unprivilegedUserns, apparmorRestrictsUserns } = settings;
  return (
    !userNamespaces ||
    maxUserNamespaces === 0 ||
    unprivilegedUserns === 0 ||
    (apparmorRestrictsUserns ?? 0) > 0
  );
}

function usernsSysctl({ maxUserNamespaces, unprivilegedUserns }: ExecBypass): string | undefined {
  if (unprivilegedUserns !== undefined) return 'kernel.unprivileged_userns_clone=0';
  return maxUserNamespaces === undefined ? undefined : 'user.max_user_namespaces=0';
}
