import type { Label } from '../facts/security/labels.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that the overlays and /tmp have the labels that the policy assigns. */
export const selinuxLabels: Check = {
  id: 'selinux-labels',
  severity: 'required',
  seal: false,
  messageId: '10efc4110c4f42afb5702f1c3b01c3d3',
  documentation: {
    title: 'overlays and /tmp have the SELinux labels of the policy',
    means:
      'The root directory of each overlay at or below /var, and /tmp, have the type that file_contexts of the policy assigns. The root directory of each overlay of OVERLAY has the type of the directory on the disk. No type is tmpfs_t or unlabeled_t. Without SELinux the check is skipped; in permissive mode it only warns.',
    why: 'The boot mounts the tmpfs before a policy is loaded, so the tmpfs has the default label of the kernel. With that label, SELinux in enforcing mode denies access to /var to journald and to every confined process.',
    fix: 'Until the next boot: restorecon -F DIRECTORY, or chcon --reference=LOWER DIRECTORY for a path of OVERLAY. At boot, immutafs-var.service labels the overlays that the initramfs mounted; systemctl status immutafs-var.service shows why it failed. For /tmp, add rootcontext= to its options in /etc/fstab, or use tmp.mount.',
    page: 'selinux.md',
  },
  evaluate: ({ labels }) => {
    const found = unwrap(labels);
    if (found === undefined) {
      return { status: 'skip', observed: 'SELinux is not enabled' };
    }
    const wrong = found.labels.filter(isWrong);
    const subject = (wrong.length === 0 ? found.labels : wrong).map(({ path }) => path).join(' ');
    const expected = 'the types of the policy';
    if (wrong.length === 0) {
      const observed = found.labels.map(({ type }) => type).join(' ');
      return { status: 'pass', subject, expected, observed };
    }
    const observed = wrong
      .map(
        ({ path, type, expected: wanted }) =>
          `${path} is ${type}${wanted === undefined ? '' : `, not ${wanted}`}`,
      )
      .join('; ');
    const remedy = `Run: restorecon -F ${subject}. To find the cause: systemctl status immutafs-var.service.`;
    return { status: found.enforcing ? 'fail' : 'warn', subject, expected, observed, remedy };
  },
};

function isWrong({ type, expected }: Label): boolean {
  return ['tmpfs_t', 'unlabeled_t'].includes(type) || (expected !== undefined && type !== expected);
}
