import { upperFolder } from '../facts/boot/layers.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import type { Check } from './check.ts';

/** What is written to /var is in RAM, gone at the next boot, and cannot take all of it. */
export const varUpperTmpfs: Check = {
  id: 'var-upper-tmpfs',
  severity: 'required',
  seal: true,
  messageId: '146ad4b087f64adcba140809895e7bba',
  documentation: {
    title: 'the upper layer of /var is a capped tmpfs',
    means:
      '/run/var is a tmpfs with a size and a number of inodes, and so is whatever the upper layers of overlays below /var are on.',
    why: 'On anything else, what is written to /var would outlive a reboot; without a cap, a log that grows takes all memory with it.',
    fix: 'Reboot, so that the upper layer is made anew. If it happens again, look for what mounts over /run/var.',
  },
  evaluate: ({ mounts, layers }) => {
    const below = layers
      .filter(({ target, state }) => target !== '/var' && state === 'overlay')
      .map(({ upper }) => upper);
    const found = [upperFolder, ...below].map((folder) => {
      const mount = mounts.serving(folder);
      if (mount === undefined) throw new Error(`no mount serves ${folder}`);
      return mount;
    });
    const expected = 'a tmpfs with a size and a number of inodes';
    const wrong = [...new Set(found)].flatMap(problems);
    const subject = [...new Set(found.map(({ target }) => target))].join(' ');
    if (wrong.length === 0)
      return { status: 'pass', subject, expected, observed: 'tmpfs, capped', remedy: '' };
    const remedy = 'Reboot, so that the upper layer is made anew; something mounted over it.';
    return { status: 'fail', subject, expected, observed: wrong.join('; '), remedy };
  },
};

function problems({ type, target, superOptions }: Mount): string[] {
  const has = (option: string) => superOptions.some((each) => each.startsWith(`${option}=`));
  return [
    ...(type === 'tmpfs' ? [] : [`an upper layer is on ${type} at ${target}`]),
    ...(has('size') ? [] : ['no size']),
    ...(has('nr_inodes') ? [] : ['no nr_inodes']),
  ];
}
