import { isBelow } from '../facts/mounts/mountinfo.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that no swap space in use and no swap line in fstab is on a system disk. */
export const swapOff: Check = {
  id: 'swap-off',
  severity: 'required',
  seal: true,
  messageId: 'ff98341be7a94029a81ca89274650b08',
  documentation: {
    title: 'no swap space is on a system disk',
    means:
      'No swap space in use is on a disk under / or another target of REQUIRE_READONLY. No swap line in /etc/fstab names such a disk, another read-only disk, or a device that does not exist. Swap space in compressed memory (zram) and on other disks is allowed.',
    why: 'Swap space on a read-only disk cannot be activated, so a unit fails at each boot and the state of the system is degraded. If the swap device does not exist, the boot waits 90 seconds for it. Swap space in use on a system disk stores memory, including secrets, on a disk that survives the reboot.',
    fix: 'While the disk is writable, remove the swap line from /etc/fstab and resume= from the kernel command line. Until the next boot: swapoff -a. If the guest needs swap space, use zram or a separate disk.',
    page: 'prepare.md',
  },
  evaluate: (facts) => {
    const wrong = [...active(facts), ...wanted(facts)];
    const subject = 'swap';
    const expected = 'none on a system disk';
    if (wrong.length === 0) {
      const elsewhere = unwrap(facts.swaps).map(({ source }) => source);
      const observed = elsewhere.length === 0 ? 'none in use' : `only on other disks: ${elsewhere.join(' ')}`;
      return { status: 'pass', subject, expected, observed };
    }
    const remedy =
      'While the disk is writable, remove the swap line from /etc/fstab; until the next boot: swapoff -a.';
    return { status: 'fail', subject, expected, observed: wrong.join('; '), remedy };
  },
};

/**
 * Returns a problem for each swap space in use on a system disk. A swap file is on the disk of its file system.
 * @throws Error for a swap device whose disk is unknown, because the device node is outside /dev or was removed
 */
function active(facts: AssessedFacts): string[] {
  const unknown = unwrap(facts.swaps).find(({ type, disks }) => type === 'partition' && disks.length === 0);
  if (unknown !== undefined) throw new Error(`${unknown.source} is in use on an unknown disk`);
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
      return options.includes('nofail') ? [] : [`/etc/fstab line ${line}: ${source} does not exist`];
    }
    const file = source.startsWith('/') && !isBelow(source, '/dev');
    const bad = file
      ? isFileOnSystem(facts, source)
      : unwrap(facts.systemDisks).includes(entry.disks) || entry.disks.some(({ readOnly }) => readOnly);
    return bad ? [`/etc/fstab line ${line}: ${source} is on a system disk`] : [];
  });
}
