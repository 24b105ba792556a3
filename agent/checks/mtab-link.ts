import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';
import { isMountTable } from '../facts/mounts/mountinfo.ts';

/**
 * Verifies that /etc/mtab is a link. A regular file is outdated on a read-only disk, and mount(8) tries to write it.
 */
export const mtabLink: Check = {
  id: 'mtab-link',
  severity: 'required',
  seal: false,
  messageId: '064fd38fa0064617ab60f53e5618bd1c',
  documentation: {
    title: "/etc/mtab is a link to the kernel's mount table",
    means: '/etc/mtab is a symbolic link to /proc/self/mounts or /proc/mounts.',
    why: 'On a read-only disk, a regular file keeps the content that it had when the disk was sealed. Programs that read it then see outdated mounts, and mount(8) fails to write it.',
    fix: 'While the disk is writable: ln -sfn ../proc/self/mounts /etc/mtab.',
    page: 'prepare.md',
  },
  evaluate: ({ mtab }) => {
    const link = unwrap(mtab);
    const subject = '/etc/mtab';
    const expected = 'a link to /proc/self/mounts';
    const good = link !== undefined && isMountTable(link);
    if (good) return { status: 'pass', subject, expected, observed: `a link to ${link}` };
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
