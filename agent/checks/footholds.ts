import { shortList } from '../format.ts';
import { findFootholds } from '../observe/footholds.ts';
import { seen } from '../observe/observed.ts';
import type { Check } from './check.ts';

/** Nowhere can a program be put that is run and outlives a reboot. */
export const footholds: Check = {
  id: 'footholds',
  severity: 'advisory',
  seal: true,
  messageId: '8c970a35582c40d79aadf0e6013abbc7',
  documentation: {
    title: 'nowhere can a program be put, run and kept over a reboot',
    means:
      "No mount is writable and executable and outlives a reboot at the same time. The report lists every mount that is writable and executable, and every one that is writable and outlives a reboot, the variables of the EFI firmware included, each with what could be tightened. /proc, /sys and the like are left out: they hold no files of anybody's.",
    why: 'This is the attack surface that is left on a sealed guest.',
    mend: 'Mount what is listed with noexec where nothing is run from it; give data that must persist a mount with noexec,nosuid,nodev; have the host make read-only whatever need not be written.',
  },
  evaluate: (facts) => {
    seen(facts.disks);
    const found = findFootholds(facts);
    const both = found.filter(({ executable, persistent }) => executable && persistent);
    const expected = 'none that is executable and outlives a reboot';
    const executable = found.filter((each) => each.executable).length;
    const persistent = found.filter((each) => each.persistent).length;
    if (both.length === 0) {
      const observed = `writable and executable: ${executable}; writable over a reboot: ${persistent}; none is both`;
      return { status: 'pass', subject: 'mounts', expected, observed, remedy: '' };
    }
    const [first] = both;
    return {
      status: 'warn',
      subject: shortList(both.map(({ target }) => target)),
      expected,
      observed: shortList(
        both.map(({ target, reason }) => `${target}: ${reason}`),
        '; ',
      ),
      remedy: first?.tighten ?? '',
    };
  },
};
