import { configFile } from '../config/config.ts';
import type { Check } from './check.ts';

/** Every line of the configuration, and immutafs= on the kernel command line, means something. */
export const configValid: Check = {
  id: 'config-valid',
  severity: 'required',
  seal: false,
  messageId: '72491e3e282545aa9708b7c79f8d55d4',
  documentation: {
    title: 'the configuration means something',
    means:
      'Every line of /etc/immutafs/immutafs.conf, and immutafs= on the kernel command line, has a known key and a good value.',
    why: 'A line that is not understood counts as if it were not there: the default is used, which may not be what you meant.',
    fix: 'Mend the lines that the check names; immutafs.conf(5) has the keys and their values. On a sealed guest /etc is read-only: the host has to open it first.',
  },
  evaluate: ({ configProblems }) => {
    const subject = configFile;
    const expected = 'no unknown key, no bad value';
    if (configProblems.length === 0)
      return { status: 'pass', subject, expected, observed: 'valid', remedy: '' };
    const shown = configProblems.slice(0, 10).join('; ');
    const observed = configProblems.length > 10 ? `${shown}; and ${configProblems.length - 10} more` : shown;
    return {
      status: 'fail',
      subject,
      expected,
      observed,
      remedy: 'Mend the lines named; the defaults count until then.',
    };
  },
};
