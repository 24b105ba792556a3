import { unwrap } from '../facts/observed.ts';
import { isBelow } from '../facts/mounts/mountinfo.ts';
import type { OverlayState } from '../assess/overlays.ts';
import { configFile } from '../config/config.ts';
import { isSeedOverlay } from '../config/overlay-paths.ts';
import { shortList } from '../lib/format.ts';
import type { Check } from './check.ts';

export const overlayPaths: Check = {
  id: 'overlay-paths',
  messageId: '53c67a45d9784fb0bcf340f6a88728db',
  expected: 'an overlay in RAM',
  evaluate: (facts) => {
    const states = unwrap(facts.overlayStates);
    const wrong = states.filter(({ state }) => ['refused', 'missing', 'failed'].includes(state));
    const [first] = wrong;
    if (first !== undefined) {
      const observed = shortList(wrong.map(describe), '; ');
      return { status: 'fail', subject: shortList(wrong.map(targetOf)), observed, remedy: remedyOf(first) };
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
      return { status: 'warn', subject, observed: shortList(notes, '; '), remedy };
    }
    if (mounted.length > 0)
      return { status: 'pass', subject: shortList(mounted.map(targetOf)), observed: 'overlay' };
    const observed = states.length === 0 ? 'OVERLAY is empty' : `not mounted in mode ${facts.mode.mode}`;
    return { status: 'skip', observed };
  },
};

const etcNote = 'root can change until the reboot what programs start';

function targetOf({ target }: OverlayState): string {
  return target;
}

function describe({ target, state, reason }: OverlayState): string {
  return `${target}${state === 'refused' ? ' is refused' : ''}: ${reason}`;
}

function remedyOf({ target, state }: OverlayState): string {
  const change = {
    refused: `remove ${target} from OVERLAY in ${configFile}`,
    missing: `create ${target}, or remove it from OVERLAY in ${configFile}`,
    failed: `correct OVERLAY in ${configFile}, or fix the cause (/run/immutafs/boot.env, journalctl -b | grep immutafs:)`,
  }[state as 'refused' | 'missing' | 'failed'];
  return `While the disk is writable, ${change}, and reboot.`;
}
