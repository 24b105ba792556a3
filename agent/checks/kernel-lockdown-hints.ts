import type { Lockdown } from '../facts/security/lockdown.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Warns if root in the guest can write to the raw system disks. */
export const kernelLockdownHints: Check = {
  id: 'kernel-lockdown-hints',
  severity: 'advisory',
  seal: true,
  messageId: 'e5172adc6fc24183ac50f5fc387b36c1',
  documentation: {
    title: 'the raw system disks are not writable from the guest',
    means:
      'The host enforces read-only on every system disk. The check also shows the kernel settings that restrict root until the next reboot: lockdown mode, whether modules can be loaded, whether module signatures are enforced, and whether kexec is possible.',
    why: 'A process that can write to the raw disk can change every file system on it, whatever the mount options. A process that can load a kernel module can deceive every program in the guest, including this one, until the next reboot.',
    fix: 'Have the host make the disks read-only. To also keep root from changing the running kernel, use Secure Boot with lockdown=integrity on the kernel command line, or set sysctl kernel.modules_disabled=1 after all modules are loaded.',
    page: 'threat-model.md',
  },
  evaluate: (facts) => {
    const disks = unwrap(facts.systemDisks).disks;
    const subject = disks.map(({ name }) => name).join(' ');
    const expected = 'no system disk is writable from the guest';
    const kernel = describe(unwrap(facts.lockdown));
    if (disks.length === 0) throw new Error('no system disk was found');
    const open = disks.filter(({ hostReadOnly }) => hostReadOnly !== true).map(({ name }) => name);
    if (open.length === 0) {
      const observed = `not writable from the guest (${kernel})`;
      return { status: 'pass', subject, expected, observed };
    }
    const observed = `writable by root in the guest (${kernel})`;
    const remedy = 'Have the host make the system disks read-only.';
    return { status: 'warn', subject: open.join(' '), expected, observed, remedy };
  },
};

function describe({ lockdown, modulesDisabled, signaturesEnforced, kexecDisabled }: Lockdown): string {
  const modules =
    modulesDisabled === true ? 'disabled' : signaturesEnforced === true ? 'signed only' : 'unsigned allowed';
  return [
    `lockdown: ${lockdown ?? 'not supported'}`,
    `modules: ${modulesDisabled === undefined && signaturesEnforced === undefined ? 'unknown' : modules}`,
    `kexec: ${kexecDisabled === undefined ? 'unknown' : kexecDisabled ? 'disabled' : 'allowed'}`,
  ].join(', ');
}
