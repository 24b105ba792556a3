import { configFile } from '../config/config.ts';
import { type Check, judge } from './check.ts';

export const configValid: Check = {
  id: 'config-valid',
  messageId: '72491e3e282545aa9708b7c79f8d55d4',
  title: 'the configuration has no unknown key and no invalid value',
  means:
    'Every line of /etc/immutafs/immutafs.conf has a known key and a valid value, and so does the kernel argument immutafs= if it is given.',
  why: 'A line with an unknown key is ignored. For an invalid value, the default or the strictest value is used, although the administrator intended a different setting.',
  fix: 'Fix the lines that the check names; immutafs.conf(5) describes the keys and their values. On a sealed guest /etc is read-only: have the host make the disk writable first.',
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
  title: 'the agent sees the same system as the kernel and PID 1',
  means:
    'The agent runs in the initial PID and user namespaces and in the mount namespace of PID 1, with the same root directory. Nothing is mounted over the files that the agent reads below /proc and /sys, so their content comes from the kernel. If the clock was set by a minute or more since the first check of this boot, the report says so, because root can forge the times of files in this way; the check passes, because time servers set the clock, too. If the agent does not run as root and cannot examine PID 1, the check is skipped.',
  why: 'In a chroot, in a container, or if a file is mounted over /proc/self/mountinfo, the other checks examine a system that is not this guest. The verdict is then unknown, whatever the other checks report.',
  fix: 'Run the agent from a login shell of the guest itself. If something is mounted over files below /proc or /sys, find out which process mounted it, and reboot. Root in the guest can hide changes from every program in the guest; docs/threat-model.md describes how the host can detect them.',
  page: 'threat-model.md',
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
