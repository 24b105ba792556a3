import { remountRemedy } from '../assess/enforcement.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/**
 * A write is refused with EROFS (path_openat of O_TMPFILE, fs/namei.c: before any permission is looked at).
 * The probe's file never has a name, so nothing is left behind where it is not refused.
 */
export const rootWriteProbe: Check = {
  id: 'root-write-probe',
  severity: 'required',
  seal: true,
  messageId: '8df9696e66ae4067bca04f318f74f52f',
  documentation: {
    title: 'a write to a read-only target is refused',
    means:
      'The agent opens a file without a name for writing on / and each other target of REQUIRE_READONLY, and the kernel answers EROFS. Nothing is left behind where it does not.',
    why: "A mount table is a claim, and what a process sees of it can be forged. This is the kernel's answer to the deed.",
    fix: "If a write was accepted and host-enforced fails, make the disk read-only in the host. If host-enforced passes, a process in the guest remounted the target read-write: find out which, and reboot. If the answer was neither, the file system is in trouble: see the kernel's log.",
  },
  evaluate: (facts) => {
    const probes = Object.entries(facts.writeProbes);
    const expected = 'a write is refused with EROFS';
    const subject = probes.map(([target]) => target).join(' ');
    if (probes.length === 0) throw new Error('nothing was tried');
    const wrong = probes.filter(([, answer]) => answer !== 'EROFS');
    if (wrong.length === 0) return { status: 'pass', subject, expected, observed: 'EROFS', remedy: '' };
    const unclear = wrong.find(([, answer]) => answer !== 'OK');
    if (wrong.every(([, answer]) => answer !== 'OK') && unclear) {
      throw new Error(
        `${unclear[0]}: the probe was answered with ${unclear[1]}, neither refused nor accepted`,
      );
    }
    const [first = ''] = wrong.filter(([, answer]) => answer === 'OK').map(([target]) => target);
    const remedy = unwrap(facts.hostReadOnlyTargets).has(first)
      ? remountRemedy(first)
      : `The host leaves the disk under ${first} writable: make it read-only in the host and reboot (see host-enforced).`;
    return {
      status: 'fail',
      subject: wrong.map(([target]) => target).join(' '),
      expected,
      observed: 'a write was accepted',
      remedy,
    };
  },
};
