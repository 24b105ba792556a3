import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** mount(8) would write a regular /etc/mtab, and on a read-only disk what stands in it is never true. */
export const mtabLink: Check = {
  id: 'mtab-link',
  severity: 'required',
  seal: false,
  messageId: '064fd38fa0064617ab60f53e5618bd1c',
  documentation: {
    title: "/etc/mtab is a link to the kernel's own table",
    means: '/etc/mtab is a symbolic link to /proc/self/mounts or /proc/mounts.',
    why: 'As a file it stays on a read-only disk as it was when it was sealed, and programs that read it believe what is not true; mount(8) cannot write it and complains.',
    fix: 'While the disk is writable: ln -sfn ../proc/self/mounts /etc/mtab.',
  },
  evaluate: ({ mtab }) => {
    const link = unwrap(mtab);
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
