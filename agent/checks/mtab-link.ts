import { seen } from '../observe/observed.ts';
import type { Check } from './check.ts';

/** mount(8) would write a regular /etc/mtab, and on a read-only disk what stands in it is never true. */
export const mtabLink: Check = {
  id: 'mtab-link',
  severity: 'required',
  seal: false,
  evaluate: ({ mtab }) => {
    const link = seen(mtab);
    const subject = '/etc/mtab';
    const expected = 'a link to /proc/self/mounts';
    const good = link !== undefined && /^(\/|\.\.\/)proc\/(self\/)?mounts$/.test(link);
    if (good) return { status: 'pass', subject, expected, observed: `a link to ${link}`, remedy: '' };
    const observed = link === undefined ? 'not a link' : `a link to ${link}`;
    return {
      status: 'fail',
      subject,
      expected,
      observed,
      remedy: 'ln -sfn ../proc/self/mounts /etc/mtab, while the disk is writable.',
    };
  },
};
