import { seen } from '../observe/observed.ts';
import type { Check } from './check.ts';

/** A sealed guest that is to be relabelled never gets past it. */
export const autorelabelAbsent: Check = {
  id: 'autorelabel-absent',
  severity: 'required',
  seal: false,
  messageId: '0c2a40dd802c4df4877911a45cc8eb1d',
  documentation: {
    title: 'nothing asks for a relabelling at the next boot',
    means:
      'There is no /.autorelabel, and no autorelabel on the kernel command line. In maintenance it is only said.',
    why: 'The boot would set every label anew, fail on a read-only disk, leave the file there and reboot: for ever.',
    mend: 'Boot once with the disk writable and let the relabelling end, or remove /.autorelabel. If SELinux was switched off, sealing it with the file there is safe only until it is switched on again.',
  },
  evaluate: ({ autorelabel, kernelArgument, mode }) => {
    const words = kernelArgument.filter((word) => /^autorelabel(=1)?$/.test(word));
    const found = [
      ...(seen(autorelabel) ? ['/.autorelabel is there'] : []),
      ...words.map((word) => `kernel argument ${word}`),
    ];
    const subject = '/.autorelabel';
    const expected = 'not there';
    if (found.length === 0) return { status: 'pass', subject, expected, observed: expected, remedy: '' };
    const status = mode.mode === 'sealed' ? 'fail' : 'warn';
    const remedy = 'Let the relabelling end in a boot with the disk writable before it is sealed.';
    return { status, subject, expected, observed: found.join('; '), remedy };
  },
};
