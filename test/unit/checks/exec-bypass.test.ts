import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { all, file } from '../../harness/changes.ts';
import { findingOf, testChanges, testFindings } from '../../harness/finding.ts';

const id = 'exec-bypass';
const kernel = (name: string, value: string | undefined) => file(`proc/sys/${name}`, value);
const unsigned = file('sys/module/module/parameters/sig_enforce', 'N\n');

testChanges(id, {
  'a memfd is executable': [kernel('vm/memfd_noexec', '1\n'), { [id]: 'warn' }, 'open: memfd'],
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
  [id]: {
    'everything is closed that the kernel can close': [
      () => undefined,
      'pass',
      /^no setting of this kernel closes interpreters$/,
    ],
    'a kernel without vm.memfd_noexec and Yama': [
      all(kernel('vm/memfd_noexec', undefined), kernel('kernel/yama/ptrace_scope', undefined)),
      'pass',
      'no setting of this kernel closes memfd, ptrace, interpreters',
    ],
    'user namespaces': [kernel('user/max_user_namespaces', '1000\n'), 'warn', /^open: user-namespaces$/],
    'user namespaces, closed for users by Debian’s sysctl': [
      all(kernel('user/max_user_namespaces', '1000\n'), kernel('kernel/unprivileged_userns_clone', '0\n')),
      'pass',
    ],
    'user namespaces, which Debian’s sysctl leaves open': [
      all(kernel('user/max_user_namespaces', '1000\n'), kernel('kernel/unprivileged_userns_clone', '1\n')),
      'warn',
      /^open: user-namespaces$/,
    ],
    'user namespaces, closed by AppArmor': [
      all(
        kernel('user/max_user_namespaces', '1000\n'),
        kernel('kernel/apparmor_restrict_unprivileged_userns', '1\n'),
      ),
      'pass',
    ],
    'a kernel without user namespaces': [
      all(kernel('user/max_user_namespaces', undefined), file('proc/self/ns/user', undefined)),
      'pass',
    ],
    ptrace: [kernel('kernel/yama/ptrace_scope', '0\n'), 'warn', /^open: ptrace$/],
    'ptrace of own children': [
      kernel('kernel/yama/ptrace_scope', '1\n'),
      'pass',
      /interpreters; kernel\.yama\.ptrace_scope=1 permits ptrace of own children$/,
    ],
    'no ptrace at all': [kernel('kernel/yama/ptrace_scope', '3\n'), 'pass'],
    'unsigned modules': [unsigned, 'warn', /^open: modules$/],
    'no modules at all': [all(unsigned, kernel('kernel/modules_disabled', '1\n')), 'pass'],
    kexec: [kernel('kernel/kexec_load_disabled', '0\n'), 'warn', /^open: kexec$/],
    'lockdown closes modules and kexec': [
      all(
        unsigned,
        kernel('kernel/kexec_load_disabled', '0\n'),
        file('sys/kernel/security/lockdown', 'none [integrity] confidentiality\n'),
      ),
      'pass',
    ],
    'a setting that is not a number': [kernel('vm/memfd_noexec', 'x\n'), 'error', 'not a number'],
  },
});
