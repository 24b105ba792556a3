import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** A sealed guest that is to be relabelled would never get past it; units/immutafs-generator lets it boot all the same. */
export const autorelabelAbsent: Check = {
  id: 'autorelabel-absent',
  severity: 'required',
  seal: false,
  messageId: '0c2a40dd802c4df4877911a45cc8eb1d',
  documentation: {
    title: 'nothing asks for a relabelling at the next boot',
    means:
      'There is no /.autorelabel, and no autorelabel on the kernel command line. In maintenance it is only said, and so it is where SELinux is off: nothing acts on it then, and RHEL makes the file at every boot of a writable disk.',
    why: 'A boot that sets every label anew fails on a read-only disk, leaves the file there and reboots: for ever. A sealed boot does not try, so the labels are what they were.',
    fix: 'Boot once with the disk writable and let the relabelling end, or remove /.autorelabel. Before SELinux is switched on again, let the relabelling end in a boot with the disk writable.',
  },
  evaluate: ({ autorelabel, selinux, kernelArgument, mode }) => {
    // Whatever its value, and anywhere in an argument (policycoreutils, selinux-autorelabel-generator.sh).
    const words = kernelArgument.filter((word) => /\bautorelabel\b/.test(word));
    const found = [
      ...(unwrap(autorelabel) ? ['/.autorelabel is there'] : []),
      ...words.map((word) => `kernel argument ${word}`),
    ];
    const subject = '/.autorelabel';
    const expected = 'not there';
    if (found.length === 0) return { status: 'pass', subject, expected, observed: expected, remedy: '' };
    if (!unwrap(selinux)) {
      const observed = `${found.join('; ')}; SELinux is off, nothing acts on it`;
      return { status: 'pass', subject, expected: 'not there, or SELinux off', observed, remedy: '' };
    }
    const status = mode.mode === 'sealed' ? 'fail' : 'warn';
    const remedy = 'Let the relabelling end in a boot with the disk writable before it is sealed.';
    return { status, subject, expected, observed: found.join('; '), remedy };
  },
};
