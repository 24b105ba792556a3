import { configFile } from '../config.ts';
import type { Check } from './check.ts';

/** Every line of the configuration, and immutafs= on the kernel command line, means something. */
export const configValid: Check = {
  id: 'config-valid',
  severity: 'required',
  seal: false,
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
