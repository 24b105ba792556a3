import { isBelow } from '../facts/mounts/mountinfo.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** No memory is written out to a system's disk, and nothing tries to at boot. */
export const swapOff: Check = {
  id: 'swap-off',
  severity: 'required',
  seal: true,
  messageId: 'ff98341be7a94029a81ca89274650b08',
  documentation: {
    title: 'no swap on a disk of the system',
    means:
      'No swap in use is on a disk under / or another target of REQUIRE_READONLY, nor is one in /etc/fstab there or on any disk that is read-only, nor one whose device is not there. Swap in compressed memory (zram) and on other disks is left alone.',
    why: 'A read-only disk cannot be swapped to, so the unit fails at each boot and the system counts as degraded; for a device that is not there the boot waits a minute and a half. Swap in use on a disk of the system means that the disk is written to: memory, secrets included, outlives the reboot.',
    fix: 'While the disk is writable: take the line of type swap out of /etc/fstab, and resume= off the kernel command line. For now: swapoff -a. If the guest needs swap, use zram or a disk of its own.',
  },
  evaluate: (facts) => {
    const wrong = [...active(facts), ...wanted(facts)];
    const subject = 'swap';
    const expected = 'none on a disk of the system';
    if (wrong.length === 0) {
      const elsewhere = unwrap(facts.swaps).map(({ source }) => source);
      const observed = elsewhere.length === 0 ? 'none in use' : `only ${elsewhere.join(' ')}, elsewhere`;
      return { status: 'pass', subject, expected, observed, remedy: '' };
    }
    const remedy = 'Take it out of /etc/fstab while the disk is writable; now: swapoff -a.';
    return { status: 'fail', subject, expected, observed: wrong.join('; '), remedy };
  },
};

/**
 * A swap file is where its file system is.
 * @throws Error for a device of which no disk is known: its node lies outside of /dev, or is gone
 */
function active(facts: AssessedFacts): string[] {
  const unknown = unwrap(facts.swaps).find(({ type, disks }) => type === 'partition' && disks.length === 0);
  if (unknown !== undefined) throw new Error(`${unknown.source} is in use, on a disk that cannot be told`);
  return unwrap(facts.swaps)
    .filter((swap) =>
      swap.type === 'partition'
        ? unwrap(facts.systemDisks).includes(swap.disks)
        : isFileOnSystem(facts, swap.source),
    )
    .map(({ source }) => `${source} is in use`);
}

function isFileOnSystem(facts: AssessedFacts, file: string): boolean {
  return unwrap(facts.systemDisks).holds(facts.mounts.serving(file));
}

function wanted(facts: AssessedFacts): string[] {
  const lines = unwrap(facts.fstabEntries).filter(
    ({ type, options }) => type === 'swap' && !options.includes('noauto'),
  );
  return lines.flatMap((entry) => {
    const { line, source, options } = entry;
    if (entry.missing) {
      return options.includes('nofail') ? [] : [`/etc/fstab line ${line}: ${source} is not there`];
    }
    const file = source.startsWith('/') && !isBelow(source, '/dev');
    const bad = file
      ? isFileOnSystem(facts, source)
      : unwrap(facts.systemDisks).includes(entry.disks) || entry.disks.some(({ readOnly }) => readOnly);
    return bad ? [`/etc/fstab line ${line}: ${source} is on a disk of the system`] : [];
  });
}
