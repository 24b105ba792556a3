import { unwrap } from '../facts/observed.ts';
import { isBelow } from '../facts/mounts/mountinfo.ts';
import type { OverlayState } from '../assess/overlays.ts';
import { configFile } from '../config/config.ts';
import { isSeedOverlay } from '../config/overlay-paths.ts';
import { shortList } from '../lib/format.ts';
import type { Check } from './check.ts';

/** Verifies that every path of OVERLAY is an overlay with an upper layer in RAM. */
export const overlayPaths: Check = {
  id: 'overlay-paths',
  severity: 'required',
  seal: false,
  messageId: '53c67a45d9784fb0bcf340f6a88728db',
  documentation: {
    title: 'every path of OVERLAY is an overlay in RAM',
    means:
      "According to the mount table, each path in OVERLAY is an overlay whose lower layer is the disk's own directory, mounted read-only, whose upper layer is the one that the boot created, and which has the mount options of OVERLAY. The reason why a path has no overlay is taken from the record of the boot. The check warns about a path that is not on the system disk, where an overlay is not needed, and about an overlay on /etc or a directory below it. With SEED=host, /etc counts as a path of OVERLAY; this overlay may be read-only (seed-genuine). In maintenance mode and with MODE=off, no overlay is mounted, and the check only fails for paths that can never get one.",
    why: 'OVERLAY names directories to which programs must be able to write. Without the overlay, they cannot, and fail. An overlay on /etc lets root change until the reboot what programs start and who may log in.',
    fix: 'Correct OVERLAY in /etc/immutafs/immutafs.conf while the disk is writable: remove a path that is refused or not needed, replace a symbolic link by the directory that it points to, and create a directory that does not exist. If mounting failed, read /run/immutafs/boot.env and `journalctl -b | grep immutafs:`, fix the cause, and reboot.',
    page: 'writable-paths.md',
  },
  evaluate: (facts) => {
    const states = unwrap(facts.overlayStates);
    const expected = 'an overlay in RAM';
    const wrong = states.filter(({ state }) => ['refused', 'missing', 'failed'].includes(state));
    if (wrong.length > 0) {
      const [first] = wrong;
      const observed = shortList(wrong.map(describe), '; ');
      const remedy = first === undefined ? '' : remedyOf(first);
      return { status: 'fail', subject: shortList(wrong.map(targetOf)), expected, observed, remedy };
    }
    const mounted = states.filter(({ state }) => state === 'overlay');
    const unneeded = states.filter(({ state }) => state === 'unneeded');
    // seed-genuine verifies that the overlay for the seed is read-only.
    const inEtc = mounted.filter(
      ({ target }) => isBelow(target, '/etc') && !isSeedOverlay(facts.config, target),
    );
    if (unneeded.length + inEtc.length > 0) {
      const notes = [...unneeded.map(describe), ...inEtc.map(({ target }) => `${target}: ${etcNote}`)];
      const subject = shortList([...unneeded, ...inEtc].map(targetOf));
      const remedy = `Remove ${subject} from OVERLAY in ${configFile} while the disk is writable.`;
      return { status: 'warn', subject, expected, observed: shortList(notes, '; '), remedy };
    }
    if (mounted.length === 0) {
      const observed = states.length === 0 ? 'OVERLAY is empty' : `not mounted in mode ${facts.mode.mode}`;
      return { status: 'skip', observed };
    }
    return {
      status: 'pass',
      subject: shortList(mounted.map(targetOf)),
      expected,
      observed: 'overlay',
    };
  },
};

const etcNote = 'root can change until the reboot what programs start';

function targetOf({ target }: OverlayState): string {
  return target;
}

function describe({ target, state, reason }: OverlayState): string {
  return state === 'refused' ? `${target} is refused: ${reason}` : `${target}: ${reason}`;
}

function remedyOf({ target, state }: OverlayState): string {
  const change = {
    refused: `remove ${target} from OVERLAY in ${configFile}`,
    missing: `create ${target}, or remove it from OVERLAY in ${configFile}`,
    failed: `correct OVERLAY in ${configFile}, or fix the cause (/run/immutafs/boot.env, journalctl -b | grep immutafs:)`,
  }[state as 'refused' | 'missing' | 'failed'];
  return `While the disk is writable, ${change}, and reboot.`;
}
