import { configFile } from '../config/config.ts';
import { type Check, judge } from './check.ts';

export const configValid: Check = {
  id: 'config-valid',
  messageId: '72491e3e282545aa9708b7c79f8d55d4',
  subject: configFile,
  expected: 'no unknown key, no invalid value',
  evaluate: ({ configProblems }) => {
    const more = configProblems.length > 10 ? [`and ${configProblems.length - 10} more`] : [];
    return judge(
      [...configProblems.slice(0, 10), ...more],
      'valid',
      'Fix the lines named; each says which value is used until then.',
    );
  },
};

export const kernelView: Check = {
  id: 'kernel-view',
  messageId: '5c93ecd17f6c4f759539b07b3c6e8a8e',
  subject: 'agent',
  expected: 'the mounts of PID 1, unmodified /proc and /sys',
  evaluate: ({ namespaceProblems, identity, clockChange }) => {
    const { subject = '', expected = '' } = kernelView;
    if (!('value' in namespaceProblems)) {
      if (!identity.root && ['EACCES', 'EPERM', 'ENOENT'].includes(namespaceProblems.code)) {
        const observed = 'not examined: only root can examine PID 1';
        return { status: 'skip', subject, expected, observed };
      }
      throw new Error(namespaceProblems.error);
    }
    if (namespaceProblems.value.length > 0) throw new Error(namespaceProblems.value.slice(0, 10).join('; '));
    return { status: 'pass', observed: [expected, clockChange ?? []].flat().join('; ') };
  },
};
