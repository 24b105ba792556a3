import { upperFolder } from '../observe/layers.ts';
import type { Check } from './check.ts';

/** What is written to /var is in RAM, gone at the next boot, and cannot take all of it. */
export const varUpperTmpfs: Check = {
  id: 'var-upper-tmpfs',
  severity: 'required',
  seal: true,
  messageId: '146ad4b087f64adcba140809895e7bba',
  documentation: {
    title: 'the upper layer of /var is a capped tmpfs',
    means: '/run/var is a tmpfs with a size and a number of inodes.',
    why: 'On anything else, what is written to /var would outlive a reboot; without a cap, a log that grows takes all memory with it.',
    mend: 'Reboot, so that the upper layer is made anew. If it happens again, look for what mounts over /run/var.',
  },
  evaluate: (facts) => {
    const mount = facts.mounts.serving(upperFolder);
    const expected = 'a tmpfs with a size and a number of inodes';
    if (mount === undefined) throw new Error(`no mount serves ${upperFolder}`);
    const has = (option: string) => mount.superOptions.some((each) => each.startsWith(`${option}=`));
    const wrong = [
      ...(mount.type === 'tmpfs' ? [] : [`the upper layer is on ${mount.type} at ${mount.target}`]),
      ...(has('size') ? [] : ['no size']),
      ...(has('nr_inodes') ? [] : ['no nr_inodes']),
    ];
    const subject = mount.target;
    if (wrong.length === 0)
      return { status: 'pass', subject, expected, observed: 'tmpfs, capped', remedy: '' };
    const remedy = 'Reboot, so that the upper layer is made anew; something mounted over it.';
    return { status: 'fail', subject, expected, observed: wrong.join('; '), remedy };
  },
};
