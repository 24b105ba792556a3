import { upperDirectory } from '../facts/boot/layers.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that data written to /var is in RAM, is discarded at the next boot, and cannot use all memory. */
export const varUpperTmpfs: Check = {
  id: 'var-upper-tmpfs',
  severity: 'required',
  seal: true,
  messageId: '146ad4b087f64adcba140809895e7bba',
  documentation: {
    title: 'the upper layer of /var is a tmpfs with limits',
    means:
      'According to the mount table, /run/var is a tmpfs with a limit for bytes (size=) and for inodes (nr_inodes=). The same holds for the file system of each upper layer below /var and of OVERLAY.',
    why: 'If the upper layer is not on a tmpfs, data written to /var may survive a reboot. Without limits, a growing log can use all memory.',
    fix: 'Reboot, so that the boot creates the upper layer again. If the check still fails, find the program that mounts over /run/var.',
  },
  evaluate: ({ mounts, layers, overlays }) => {
    const below = layers
      .filter(({ target, state }) => target !== '/var' && state === 'overlay')
      .map(({ upper }) => upper);
    const others = unwrap(overlays).flatMap(({ lower, upper }) => (lower ? [upper] : []));
    const found = [upperDirectory, ...below, ...others].map((directory) => {
      const mount = mounts.serving(directory);
      if (mount === undefined) throw new Error(`no mount serves ${directory}`);
      return mount;
    });
    const expected = 'a tmpfs with limits for bytes and inodes';
    const wrong = [...new Set(found)].flatMap(problems);
    const subject = [...new Set(found.map(({ target }) => target))].join(' ');
    if (wrong.length === 0) return { status: 'pass', subject, expected, observed: 'tmpfs with limits' };
    const remedy = 'A program mounted over the upper layer: find it, and reboot.';
    return { status: 'fail', subject, expected, observed: wrong.join('; '), remedy };
  },
};

function problems({ type, target, superOptions }: Mount): string[] {
  const has = (option: string) => superOptions.some((each) => each.startsWith(`${option}=`));
  return [
    ...(type === 'tmpfs' ? [] : [`an upper layer is on ${type} at ${target}`]),
    ...(has('size') ? [] : ['no limit for bytes (size=)']),
    ...(has('nr_inodes') ? [] : ['no limit for inodes (nr_inodes=)']),
  ];
}
