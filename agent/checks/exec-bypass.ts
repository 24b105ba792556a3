import { openBypasses, ptraceSysctl } from '../assess/exec-bypass.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Names the bypasses of noexec: means to execute code although every writable file system is mounted with it. */
export const execBypass: Check = {
  id: 'exec-bypass',
  severity: 'advisory',
  seal: true,
  messageId: '36bc4620952f456eacc2734227f96566',
  documentation: {
    title: 'kernel settings close the known bypasses of noexec',
    means:
      'The check reads the settings of the kernel. memfd: a process cannot execute a file that it created with memfd_create(2) (vm.memfd_noexec=2, Linux 6.3). user-namespaces: a user cannot create a user namespace, in which the user may mount a tmpfs without noexec (user.max_user_namespaces=0, or on some kernels kernel.unprivileged_userns_clone=0 or kernel.apparmor_restrict_unprivileged_userns=1). ptrace: a process without CAP_SYS_PTRACE cannot write code into the memory of a process that it did not start (kernel.yama.ptrace_scope=1), or of any other process (2 or 3); the check accepts each of these values, and notes what 1 permits. modules: root cannot load a module that is not signed. kexec: root cannot start another kernel that is not signed. lockdown closes the last two. The check warns if a bypass is open that this kernel can close, and names the setting.',
    why: 'noexec only prevents that a file of the mount is executed directly. With one of these bypasses, code runs from memory all the same, without any file on a mount that is executable. Interpreters remain in any case: `sh FILE`, `python3 FILE` and `perl -e` run from the sealed disk and execute whatever they read. No sysctl closes this, only a policy that names trusted files, such as fapolicyd or IMA appraisal.',
    fix: 'While the disk is writable, write the named lines to a file such as /etc/sysctl.d/60-immutafs.conf, or to the kernel command line; immutafs-agent prepare --apply --only exec --close-bypasses writes the sysctls that no running program needs, and with --strict-ptrace kernel.yama.ptrace_scope=2. Consider first what the guest needs: rootless Podman and browsers create user namespaces, older versions of runc and Podman execute a memfd, debuggers of users without CAP_SYS_PTRACE attach to running programs with ptrace, and kdump loads its kernel with kexec after the sysctls are set. kernel.modules_disabled=1 also keeps modules from being loaded later in the boot, so set it in a unit that runs last; module.sig_enforce=1 requires that every module is signed.',
    page: 'threat-model.md',
  },
  evaluate: (facts) => {
    const settings = unwrap(facts.execBypass);
    const open = openBypasses(settings, unwrap(facts.lockdown));
    const lines = open.flatMap(({ closedBy }) => closedBy ?? []);
    const hopeless = open.filter(({ closedBy }) => closedBy === undefined).map(({ name }) => name);
    const ownChildren =
      settings.ptraceScope === 1 ? `; ${ptraceSysctl}=1 permits ptrace of own children` : '';
    const remaining = `no setting of this kernel closes ${[...hopeless, 'interpreters'].join(', ')}${ownChildren}`;
    if (lines.length === 0) {
      const expected = 'the bypasses that this kernel can close are closed';
      return { status: 'pass', expected, observed: remaining };
    }
    const names = open.filter(({ closedBy }) => closedBy !== undefined).map(({ name }) => name);
    return {
      status: 'warn',
      // The short view, which must fit a terminal, leaves out what is expected.
      expected: `${lines.join(' ')}; ${remaining}`,
      observed: `open: ${names.join(', ')}`,
      remedy: 'Set the kernel settings that status --all lists, unless a program needs what they disable.',
    };
  },
};
