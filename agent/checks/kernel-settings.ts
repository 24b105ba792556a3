import { type Lockdown, seedFile } from '../facts/security/kernel-settings.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';
import { openBypasses, ptraceSysctl } from '../assess/exec-bypass.ts';
import { persistenceTest } from '../assess/persistence.ts';
import { isWritable } from '../facts/mounts/mountinfo.ts';

export const kernelLockdownHints: Check = {
  id: 'kernel-lockdown-hints',
  severity: 'advisory',
  seal: true,
  messageId: 'e5172adc6fc24183ac50f5fc387b36c1',
  title: 'the raw system disks are not writable from the guest',
  means:
    'The host enforces read-only on every system disk. The check also shows the kernel settings that restrict root until the next reboot: lockdown mode, whether modules can be loaded, whether module signatures are enforced, and whether kexec is possible.',
  why: 'A process that can write to the raw disk can change every file system on it, whatever the mount options. A process that can load a kernel module can deceive every program in the guest, including this one, until the next reboot.',
  fix: 'Have the host make the disks read-only. To also keep root from changing the running kernel, use Secure Boot with lockdown=integrity on the kernel command line, or set sysctl kernel.modules_disabled=1 after all modules are loaded.',
  page: 'threat-model.md',
  expected: 'no system disk is writable from the guest',
  evaluate: (facts) => {
    const { disks } = unwrap(facts.systemDisks);
    const kernel = describe(unwrap(facts.lockdown));
    if (disks.length === 0) throw new Error('no system disk was found');
    const open = disks.filter(({ hostReadOnly }) => hostReadOnly !== true);
    const subject = (open.length === 0 ? disks : open).map(({ name }) => name).join(' ');
    if (open.length === 0)
      return { status: 'pass', subject, observed: `not writable from the guest (${kernel})` };
    const remedy = 'Have the host make the system disks read-only.';
    return { status: 'warn', subject, observed: `writable by root in the guest (${kernel})`, remedy };
  },
};

function describe({ lockdown, modulesDisabled, signaturesEnforced, kexecDisabled }: Lockdown): string {
  const modules =
    modulesDisabled === true ? 'disabled' : signaturesEnforced === true ? 'signed only' : 'unsigned allowed';
  return [
    `lockdown: ${lockdown ?? 'not supported'}`,
    `modules: ${modulesDisabled === undefined && signaturesEnforced === undefined ? 'unknown' : modules}`,
    `kexec: ${kexecDisabled === undefined ? 'unknown' : kexecDisabled ? 'disabled' : 'allowed'}`,
  ].join(', ');
}

export const execBypass: Check = {
  id: 'exec-bypass',
  severity: 'advisory',
  seal: true,
  messageId: '36bc4620952f456eacc2734227f96566',
  title: 'kernel settings close the known bypasses of noexec',
  means:
    'The check reads the settings of the kernel. memfd: a process cannot execute a file that it created with memfd_create(2) (vm.memfd_noexec=2, Linux 6.3). user-namespaces: a user cannot create a user namespace, in which the user may mount a tmpfs without noexec (user.max_user_namespaces=0, or on some kernels kernel.unprivileged_userns_clone=0 or kernel.apparmor_restrict_unprivileged_userns=1). ptrace: a process without CAP_SYS_PTRACE cannot write code into the memory of a process that it did not start (kernel.yama.ptrace_scope=1), or of any other process (2 or 3); the check accepts each of these values, and notes what 1 permits. modules: root cannot load a module that is not signed. kexec: root cannot start another kernel that is not signed. lockdown closes the last two. The check warns if a bypass is open that this kernel can close, and names the setting.',
  why: 'noexec only prevents that a file of the mount is executed directly. With one of these bypasses, code runs from memory all the same, without any file on a mount that is executable. Interpreters remain in any case: `sh FILE`, `python3 FILE` and `perl -e` run from the sealed disk and execute whatever they read. No sysctl closes this, only a policy that names trusted files, such as fapolicyd or IMA appraisal.',
  fix: 'While the disk is writable, write the named lines to a file such as /etc/sysctl.d/60-immutafs.conf, or to the kernel command line; immutafs-agent prepare --apply --only exec --close-bypasses writes the sysctls that no running program needs. Consider first what the guest needs: rootless Podman and browsers create user namespaces, older versions of runc and Podman execute a memfd, debuggers of users without CAP_SYS_PTRACE attach to running programs with ptrace, and kdump loads its kernel with kexec after the sysctls are set. kernel.modules_disabled=1 also keeps modules from being loaded later in the boot, so set it in a unit that runs last; module.sig_enforce=1 requires that every module is signed.',
  page: 'threat-model.md',
  expected: 'the bypasses that this kernel can close are closed',
  evaluate: (facts) => {
    const settings = unwrap(facts.execBypass);
    const open = openBypasses(settings, unwrap(facts.lockdown));
    const lines = open.flatMap(({ closedBy }) => closedBy ?? []);
    const hopeless = open.filter(({ closedBy }) => closedBy === undefined).map(({ name }) => name);
    const ownChildren =
      settings.ptraceScope === 1 ? `; ${ptraceSysctl}=1 permits ptrace of own children` : '';
    const remaining = `no setting of this kernel closes ${[...hopeless, 'interpreters'].join(', ')}${ownChildren}`;
    if (lines.length === 0) return { status: 'pass', observed: remaining };
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

export const randomSeed: Check = {
  id: 'random-seed',
  severity: 'advisory',
  seal: true,
  messageId: '939478e7147f4d37a95789cfb914e062',
  title: 'the host or the processor gives the kernel random data at boot',
  means:
    'The kernel has a hardware generator (/sys/class/misc/hw_random), which on a KVM guest is virtio-rng, or the processor has an instruction that returns random data (RDSEED or RDRAND, on ARM RNDRRS), and the kernel argument random.trust_cpu=off is not set. Without either, the check passes if the random seed of systemd is kept across reboots, because it is on a file system that persists.',
  why: 'A sealed guest loads the same /var/lib/systemd/random-seed at every boot: systemd replaces this file at shutdown, but only in the overlay. Without another source, random numbers early in the boot, such as keys and TCP sequence numbers, can repeat from boot to boot and in every guest with a copy of the disk.',
  fix: 'Add virtio-rng to the domain: <rng model="virtio"><backend model="random">/dev/urandom</backend></rng> (docs/host.md). Or give the guest a processor model with RDRAND, such as host-model.',
  page: 'host.md',
  expected: 'virtio-rng or a random instruction of the processor',
  evaluate: (facts) => {
    const { current, instruction, distrusted, seed } = unwrap(facts.randomSources);
    const sources = [current, distrusted ? '' : instruction].filter((each) => each !== '');
    if (sources.length > 0) return { status: 'pass', observed: sources.join(' and ') };
    const mount = facts.mounts.serving(seedFile);
    const isKept =
      seed &&
      mount !== undefined &&
      isWritable(mount) &&
      persistenceTest(facts.mounts, facts.scratchDevice)(mount);
    if (isKept) return { status: 'pass', observed: `none, but ${seedFile} is kept across reboots` };
    const ignored = distrusted && instruction !== '' ? ` (${instruction}: random.trust_cpu=off)` : '';
    return {
      status: 'warn',
      subject: seedFile,
      observed: `no random source${ignored}; ${seed ? 'the seed is the same at every boot' : 'there is no seed'}`,
      remedy: 'Add virtio-rng to the domain (docs/host.md).',
    };
  },
};
