import type { Label } from '../facts/security/labels.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** What the boot mounted has the label that the policy has for it. */
export const selinuxLabels: Check = {
  id: 'selinux-labels',
  severity: 'required',
  seal: false,
  messageId: '10efc4110c4f42afb5702f1c3b01c3d3',
  documentation: {
    title: "the layers in memory and /tmp have the policy's labels",
    means:
      "The root of each overlay, and /tmp, has the type that the policy's file_contexts has for it, and in no case tmpfs_t or unlabeled_t. Without SELinux the check is skipped; where SELinux only warns (permissive), so does this check.",
    why: 'A tmpfs has the label that the kernel gives it, and the boot mounts it before there is a policy. With it, an enforcing SELinux denies /var to journald and to everything that is confined.',
    fix: 'For now: restorecon -F and the folder. immutafs-var.service does it at boot for the overlays: see why it did not, systemctl status immutafs-var.service. For /tmp, put rootcontext= into its options in /etc/fstab, or use tmp.mount.',
  },
  evaluate: ({ labels }) => {
    const found = unwrap(labels);
    if (found === undefined) {
      return { status: 'skip', subject: '', expected: '', observed: 'SELinux is not there', remedy: '' };
    }
    const wrong = found.labels.filter(isWrong);
    const subject = (wrong.length === 0 ? found.labels : wrong).map(({ path }) => path).join(' ');
    const expected = "the policy's own types";
    if (wrong.length === 0) {
      const observed = found.labels.map(({ type }) => type).join(' ');
      return { status: 'pass', subject, expected, observed, remedy: '' };
    }
    const observed = wrong
      .map(
        ({ path, type, expected: wanted }) =>
          `${path} is ${type}${wanted === undefined ? '' : `, not ${wanted}`}`,
      )
      .join('; ');
    const remedy = `restorecon -F ${subject}, and see why it was not done at boot.`;
    return { status: found.enforcing ? 'fail' : 'warn', subject, expected, observed, remedy };
  },
};

function isWrong({ type, expected }: Label): boolean {
  return ['tmpfs_t', 'unlabeled_t'].includes(type) || (expected !== undefined && type !== expected);
}
