import type { Check } from './check.ts';

/**
 * A write is refused with EROFS (path_openat of O_TMPFILE, fs/namei.c: before any permission is looked at).
 * The probe's file never has a name, so nothing is left behind where it is not refused.
 */
export const rootWriteProbe: Check = {
  id: 'root-write-probe',
  severity: 'required',
  seal: true,
  evaluate: (facts) => {
    const probes = Object.entries(facts.writeProbes);
    const expected = 'a write is refused with EROFS';
    const subject = probes.map(([target]) => target).join(' ');
    const wrong = probes.filter(([, answer]) => answer !== 'EROFS');
    if (wrong.length === 0) return { status: 'pass', subject, expected, observed: 'EROFS', remedy: '' };
    const unclear = wrong.find(([, answer]) => answer !== 'OK');
    if (wrong.every(([, answer]) => answer !== 'OK') && unclear) {
      throw new Error(
        `${unclear[0]}: the probe was answered with ${unclear[1]}, neither refused nor accepted`,
      );
    }
    return {
      status: 'fail',
      subject: wrong.map(([target]) => target).join(' '),
      expected,
      observed: 'a write was accepted',
      remedy: 'Somebody mounted it read-write: make the disk read-only in the host and reboot.',
    };
  },
};
