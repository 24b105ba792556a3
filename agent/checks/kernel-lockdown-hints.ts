import type { Lockdown } from '../facts/security/lockdown.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Who could still write to the raw disk, by evidence. */
export const kernelLockdownHints: Check = {
  id: 'kernel-lockdown-hints',
  severity: 'advisory',
  seal: true,
  messageId: 'e5172adc6fc24183ac50f5fc387b36c1',
  documentation: {
    title: 'no one in the guest can write to the raw disks',
    means:
      "Every disk of the system is read-only by the host's doing: then no one can, and what the kernel lets root do only matters until the next reboot. Otherwise root can; and the check says what the kernel itself would prevent: lockdown, loading of modules, enforced signatures, kexec.",
    why: 'Whoever can write to the raw disk can write to every file system on it, however it is mounted. Whoever can load a module can also lie to every program in the guest, this one included, until it reboots.',
    fix: 'Have the host make the disks read-only. To keep root from changing the running kernel as well: Secure Boot with lockdown=integrity on the kernel command line, or sysctl kernel.modules_disabled=1 once all modules are loaded.',
  },
  evaluate: (facts) => {
    const disks = unwrap(facts.systemDisks).disks;
    const subject = disks.map(({ name }) => name).join(' ');
    const expected = 'no disk of the system can be written to';
    const kernel = describe(unwrap(facts.lockdown));
    if (disks.length === 0) throw new Error('no disk of the system is known');
    const open = disks.filter(({ hostReadOnly }) => hostReadOnly !== true).map(({ name }) => name);
    if (open.length === 0) {
      const observed = `no one in the guest can; ${kernel}`;
      return { status: 'pass', subject, expected, observed, remedy: '' };
    }
    const observed = `root can write to ${open.join(' ')}; ${kernel}`;
    const remedy = 'Have the host make the disks read-only.';
    return { status: 'warn', subject: open.join(' '), expected, observed, remedy };
  },
};

function describe({ lockdown, modulesDisabled, signaturesEnforced, kexecDisabled }: Lockdown): string {
  const modules = modulesDisabled === true ? 'disabled' : signaturesEnforced === true ? 'signed ones' : 'any';
  return [
    `lockdown ${lockdown ?? 'not there'}`,
    `modules: ${modulesDisabled === undefined && signaturesEnforced === undefined ? 'not known' : modules}`,
    `kexec ${kexecDisabled === undefined ? 'not known' : kexecDisabled ? 'disabled' : 'possible'}`,
  ].join(', ');
}
