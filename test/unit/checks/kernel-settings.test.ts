import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { all, file, mount, disk } from '../../harness/changes.ts';
import { findingOf, testChanges, testFindings } from '../../harness/finding.ts';

const id = 'exec-bypass';
const kernel = (name: string, value: string | undefined) => file(`proc/sys/${name}`, value);
const unsigned = file('sys/module/module/parameters/sig_enforce', 'N\n');

testChanges(id, {
  'a memfd is executable': [kernel('vm/memfd_noexec', '1\n'), 'warn: open: memfd'],
});

const settings = suite('exec-bypass: the settings');
settings(
  'each open bypass with the setting that closes it on this kernel, and the bypasses that none closes',
  async () => {
    const { expected } = await findingOf(
      id,
      all(
        kernel('vm/memfd_noexec', undefined),
        kernel('user/max_user_namespaces', '1000'),
        kernel('kernel/yama/ptrace_scope', '0'),
        kernel('kernel/kexec_load_disabled', '0'),
        unsigned,
      ),
    );
    assert.is(
      expected,
      'user.max_user_namespaces=0 kernel.yama.ptrace_scope=1 module.sig_enforce=1 kernel.kexec_load_disabled=1; no setting of this kernel closes memfd, interpreters',
    );
  },
);
settings.run();

testFindings(id, {
  'everything is closed that the kernel can close': [
    () => undefined,
    /^pass: no setting of this kernel closes interpreters$/,
  ],
  'a kernel without vm.memfd_noexec and Yama': [
    all(kernel('vm/memfd_noexec', undefined), kernel('kernel/yama/ptrace_scope', undefined)),
    'pass: no setting of this kernel closes memfd, ptrace, interpreters',
  ],
  'user namespaces': [kernel('user/max_user_namespaces', '1000\n'), /^warn: open: user-namespaces$/],
  'user namespaces, closed for users by Debian’s sysctl': [
    all(kernel('user/max_user_namespaces', '1000\n'), kernel('kernel/unprivileged_userns_clone', '0\n')),
    'pass',
  ],
  'user namespaces, which Debian’s sysctl leaves open': [
    all(kernel('user/max_user_namespaces', '1000\n'), kernel('kernel/unprivileged_userns_clone', '1\n')),
    /^warn: open: user-namespaces$/,
  ],
  'user namespaces, closed by AppArmor': [
    kernel('user/max_user_namespaces', '1000\n'),
    kernel('kernel/apparmor_restrict_unprivileged_userns', '1\n'),
    'pass',
  ],
  'a kernel without user namespaces': [
    all(kernel('user/max_user_namespaces', undefined), file('proc/self/ns/user', undefined)),
    'pass',
  ],
  ptrace: [kernel('kernel/yama/ptrace_scope', '0\n'), /^warn: open: ptrace$/],
  'ptrace of own children': [
    kernel('kernel/yama/ptrace_scope', '1\n'),
    /^pass: .*interpreters; kernel\.yama\.ptrace_scope=1 permits ptrace of own children$/,
  ],
  'no ptrace at all': [kernel('kernel/yama/ptrace_scope', '3\n'), 'pass'],
  'unsigned modules': [unsigned, /^warn: open: modules$/],
  'no modules at all': [unsigned, kernel('kernel/modules_disabled', '1\n'), 'pass'],
  kexec: [kernel('kernel/kexec_load_disabled', '0\n'), /^warn: open: kexec$/],
  'lockdown closes modules and kexec': [
    unsigned,
    kernel('kernel/kexec_load_disabled', '0\n'),
    file('sys/kernel/security/lockdown', 'none [integrity] confidentiality\n'),
    'pass',
  ],
  'a setting that is not a number': [kernel('vm/memfd_noexec', 'x\n'), 'error: not a number'],
});

const rng = (current: string | undefined) => file('sys/class/misc/hw_random/rng_current', current);
const seed = file('var/lib/systemd/random-seed', 'x');
const cpu = (line: string) => file('proc/cpuinfo', `processor\t: 0\n${line}\n\nprocessor\t: 1\n`);
const x86 = (flags: string) => cpu(`flags\t\t: fpu vme ${flags} sse`);
const argument = (text: string) => file('proc/cmdline', `root=/dev/vda ${text}\n`);

testChanges('random-seed', {
  'no source': [rng(undefined), seed, 'warn: no random source; the seed is the same at every boot'],
});

testFindings('random-seed', {
  'virtio-rng': [() => undefined, 'pass: virtio_rng.0'],
  'a list of generators of which none is current': [rng('none\n'), 'warn: there is no seed'],
  RDRAND: [rng(undefined), x86('rdrand'), 'pass: RDRAND'],
  'RDSEED, and virtio-rng': [x86('rdrand rdseed'), 'pass: virtio_rng.0 and RDSEED'],
  'RNDRRS of ARM': [rng(undefined), cpu('Features\t: fp asimd rng'), 'pass: RNDRRS'],
  'the name of another flag': [rng(undefined), x86('xrdrand rdrandx'), 'warn'],
  'RDRAND that the kernel does not trust': [
    all(rng(undefined), x86('rdrand'), argument('random.trust_cpu=off')),
    'warn: no random source (RDRAND: random.trust_cpu=off)',
  ],
  'RDRAND that the kernel trusts': [rng(undefined), x86('rdrand'), argument('random.trust_cpu=on'), 'pass'],
  'a seed that is kept on a data disk': [
    all(rng(undefined), seed, mount('kept', '252:16 /s /var/lib/systemd rw,nosuid - xfs /dev/vdb rw')),
    'pass: is kept across reboots',
  ],
  'a seed on a mount that is read-only': [
    all(rng(undefined), seed, mount('kept', '252:16 /s /var/lib/systemd ro,nosuid - xfs /dev/vdb rw')),
    'warn',
  ],
});

testChanges('kernel-lockdown-hints', {
  'the disk is read-only only by a flag': [
    disk({ offered: false, readOnly: true }),
    {
      'kernel-lockdown-hints': 'warn: writable by root in the guest',
      'host-enforced': 'fail',
      'foreign-programs': 'skip',
    },
  ],
});

testFindings('kernel-lockdown-hints', {
  'the host enforces read-only; nothing is known of the kernel': [
    file('proc/sys/kernel/kexec_load_disabled', undefined),
    file('sys/module/module/parameters/sig_enforce', undefined),
    'pass: not writable from the guest (lockdown: not supported, modules: unknown, kexec: unknown)',
  ],
  'what the kernel prevents is shown': [
    (guest) => {
      file('sys/kernel/security/lockdown', 'none [integrity] confidentiality\n')(guest);
      file('proc/sys/kernel/modules_disabled', '1\n')(guest);
      file('proc/sys/kernel/kexec_load_disabled', '1\n')(guest);
    },
    'pass: lockdown: integrity, modules: disabled, kexec: disabled',
  ],
});
