import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that no relabelling is requested. units/immutafs-generator suppresses relabelling in a sealed boot. */
export const autorelabelAbsent: Check = {
  id: 'autorelabel-absent',
  severity: 'required',
  seal: false,
  messageId: '0c2a40dd802c4df4877911a45cc8eb1d',
  documentation: {
    title: 'no SELinux relabelling is requested for the next boot',
    means:
      'The file /.autorelabel does not exist and the kernel command line has no autorelabel argument. In maintenance mode the check only warns. With SELinux disabled the check passes, because the request has no effect; RHEL then creates the file at every boot of a writable disk.',
    why: 'On a read-only disk, the relabelling fails, cannot remove the file /.autorelabel and reboots the guest, which repeats in a loop. A sealed boot therefore suppresses the relabelling, so wrong labels are not corrected.',
    fix: 'Boot once with the disk writable and let the relabelling finish, or remove /.autorelabel. Before you enable SELinux again, let the relabelling finish in a boot with the disk writable.',
  },
  evaluate: ({ autorelabel, selinux, kernelArgument, mode }) => {
    // selinux-autorelabel-generator.sh of policycoreutils accepts any value, and the word anywhere in an argument.
    const words = kernelArgument.filter((word) => /\bautorelabel\b/.test(word));
    const found = [
      ...(unwrap(autorelabel) ? ['/.autorelabel exists'] : []),
      ...words.map((word) => `kernel argument ${word}`),
    ];
    const subject = '/.autorelabel';
    const expected = 'absent';
    if (found.length === 0) return { status: 'pass', subject, expected, observed: expected };
    if (!unwrap(selinux)) {
      const observed = `${found.join('; ')}; no effect, because SELinux is disabled`;
      return { status: 'pass', subject, expected: 'absent, or SELinux disabled', observed };
    }
    const status = mode.mode === 'sealed' ? 'fail' : 'warn';
    const remedy = 'Boot with the disk writable, let the relabelling finish, then seal the disk.';
    return { status, subject, expected, observed: found.join('; '), remedy };
  },
};
