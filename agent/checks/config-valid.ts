import { configFile } from '../config/config.ts';
import type { Check } from './check.ts';

/**
 * Verifies that every line of the configuration, and the kernel argument immutafs=, has a known key and a valid value.
 */
export const configValid: Check = {
  id: 'config-valid',
  severity: 'required',
  seal: false,
  messageId: '72491e3e282545aa9708b7c79f8d55d4',
  documentation: {
    title: 'the configuration has no unknown key and no invalid value',
    means:
      'Every line of /etc/immutafs/immutafs.conf has a known key and a valid value, and so does the kernel argument immutafs= if it is given.',
    why: 'A line with an unknown key or an invalid value is ignored and the default is used, although the administrator may have intended a different setting.',
    fix: 'Fix the lines that the check names; immutafs.conf(5) describes the keys and their values. On a sealed guest /etc is read-only: have the host make the disk writable first.',
  },
  evaluate: ({ configProblems }) => {
    const subject = configFile;
    const expected = 'no unknown key, no invalid value';
    if (configProblems.length === 0) return { status: 'pass', subject, expected, observed: 'valid' };
    const shown = configProblems.slice(0, 10).join('; ');
    const observed = configProblems.length > 10 ? `${shown}; and ${configProblems.length - 10} more` : shown;
    return {
      status: 'fail',
      subject,
      expected,
      observed,
      remedy: 'Fix the lines named; until then the defaults are used.',
    };
  },
};
