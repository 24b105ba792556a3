import type { Check } from './check.ts';

/** What the agent sees is the guest: the verdict of a chroot or of a namespace is none about the guest. */
export const kernelView: Check = {
  id: 'kernel-view',
  severity: 'required',
  seal: false,
  messageId: '5c93ecd17f6c4f759539b07b3c6e8a8e',
  documentation: {
    title: "the agent sees what the kernel and the guest's first process see",
    means:
      'The agent runs in the first PID and user namespace, in the mount namespace and under the root of PID 1, and no file that it reads below /proc and /sys has anything mounted over it: every one of them is answered by procfs or sysfs itself. Where PID 1 cannot be looked at without being root, the check is skipped.',
    why: 'In a chroot, a container or behind a file that was mounted over /proc/self/mountinfo, every other check would be about something else than this guest. Then nothing can be told, and the verdict is unknown, whatever the others say.',
    fix: 'Run the agent from a login of the guest itself. If something is mounted over the files of the kernel, find out who did it and reboot. What root in the guest can hide from every program in it, the host can see: docs/threat-model.md.',
  },
  evaluate: ({ namespaceProblems, identity }) => {
    const expected = "PID 1's mounts, and the kernel's own files";
    const subject = 'the agent itself';
    if (!('value' in namespaceProblems)) {
      if (!identity.root && ['EACCES', 'EPERM', 'ENOENT'].includes(namespaceProblems.code)) {
        const observed = 'PID 1 can only be looked at by root';
        return { status: 'skip', subject, expected, observed, remedy: '' };
      }
      throw new Error(namespaceProblems.error);
    }
    if (namespaceProblems.value.length > 0) throw new Error(namespaceProblems.value.slice(0, 10).join('; '));
    return { status: 'pass', subject, expected, observed: expected, remedy: '' };
  },
};
