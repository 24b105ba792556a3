import { remountRemedy } from '../assess/enforcement.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/**
 * Verifies that the kernel refuses a write with EROFS. For O_TMPFILE, the kernel returns EROFS before it checks
 * permissions (fs/namei.c, path_openat()). The probe's file never has a name, so no file remains if the write succeeds.
 */
export const rootWriteProbe: Check = {
  id: 'root-write-probe',
  severity: 'required',
  seal: true,
  messageId: '8df9696e66ae4067bca04f318f74f52f',
  documentation: {
    title: 'the kernel refuses a write to each read-only target',
    means:
      'The agent tries to create an unnamed file for writing on / and on each other target of REQUIRE_READONLY. This must fail with EROFS. If the kernel accepts the write, no file remains.',
    why: 'Mount options can be forged or stale, so the check tries the operation.',
    fix: 'If the write was accepted and host-enforced fails, make the disk read-only in the host. If host-enforced passes, a process in the guest remounted the target read-write: find out which process did so, and reboot. Any other error than EROFS indicates a problem of the file system: read the kernel log (dmesg).',
  },
  evaluate: (facts) => {
    const probes = Object.entries(facts.writeProbes);
    const expected = 'EROFS';
    const subject = probes.map(([target]) => target).join(' ');
    if (probes.length === 0) throw new Error('no write was tried');
    const wrong = probes.filter(([, answer]) => answer !== 'EROFS');
    if (wrong.length === 0) return { status: 'pass', subject, expected, observed: 'EROFS' };
    const unclear = wrong.find(([, answer]) => answer !== 'OK');
    if (wrong.every(([, answer]) => answer !== 'OK') && unclear) {
      throw new Error(`${unclear[0]}: the write failed with ${unclear[1]}, not with EROFS`);
    }
    const [first = ''] = wrong.filter(([, answer]) => answer === 'OK').map(([target]) => target);
    const remedy = unwrap(facts.hostReadOnlyTargets).has(first)
      ? remountRemedy(first)
      : `The host leaves the disk under ${first} writable: make it read-only in the host and reboot (see host-enforced).`;
    return {
      status: 'fail',
      subject: wrong.map(([target]) => target).join(' '),
      expected,
      observed: 'the write was accepted',
      remedy,
    };
  },
};
