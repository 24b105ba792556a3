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

export const persistedPaths: Check = {
  id: 'persisted-paths',
  messageId: '701b42c74d244257a309c75edb44e7cb',
  expected: 'mounted from PERSIST_STORE',
  evaluate: (facts) => {
    if (facts.persist.length === 0) return { status: 'skip', observed: 'PERSIST is empty' };
    const found = unwrap(facts.persisted);
    if (found.length === 0) return { status: 'skip', observed: `nothing is kept in mode ${facts.mode.mode}` };
    const failed = found.filter(({ state }) => state === 'failed');
    const named = failed.length > 0 ? failed : found;
    const isKept = named.some(({ state }) => state === 'kept');
    const notes = named
      .filter(({ state, reason }) => state === 'failed' || reason !== '')
      .map(({ path, reason }) => `${path}: ${reason}`);
    return {
      status: failed.length > 0 ? 'fail' : 'pass',
      subject: shortList(named.map(({ path }) => path)),
      observed: shortList([...(isKept ? [`kept in ${facts.config.PERSIST_STORE}`] : []), ...notes], '; '),
      remedy: shortList(failed.map(({ path, remedy }) => `${path}: ${remedy}`)),
    };
  },
};

export const scratchPaths: Check = {
  id: 'scratch-paths',
  seal: true,
  messageId: 'ff4fac0449704774a57ed1824b36567f',
  expected: 'on SCRATCH_DEVICE',
  evaluate: ({ scratchPaths: assessed }) => {
    const found = unwrap(assessed);
    if (found.length === 0) return { status: 'skip', observed: 'SCRATCH is empty' };
    const bad = found.filter(({ state }) => state !== 'disk' && state !== 'memory');
    const named = bad.length > 0 ? bad : found.filter(({ state }) => state === 'memory');
    const subject = shortList((named.length > 0 ? named : found).map(({ path }) => path));
    if (named.length === 0) return { status: 'pass', subject, observed: 'encrypted with a key of this boot' };
    return {
      status: bad.length > 0 ? 'fail' : 'warn',
      subject,
      observed: shortList(
        named.map(
          ({ path, state, reason }) =>
            `${path}: ${state === 'failed' ? '' : `${state === 'memory' ? 'in memory' : state}, `}${reason}`,
        ),
        '; ',
      ),
      remedy: shortList(named.map(({ path, remedy }) => `${path}: ${remedy}`)),
    };
  },
};

export const plannedMoves: Check = {
  id: 'planned-moves',
  severity: 'advisory',
  messageId: 'c4a0c3c5e6f94d0f8b1d0f64a5a7f2be',
  expected: 'nothing',
  evaluate: (facts) => {
    const found = unwrap(facts.plannedMoves);
    if (found === undefined) return { status: 'skip', observed: 'nothing was moved' };
    const { waiting, problems, isDue } = found;
    if (waiting.length + problems.length === 0) return { status: 'pass', observed: 'nothing waits' };
    const when = isDue
      ? 'in the next maintenance boot'
      : 'but no further boot tries it, because three boots did not complete it or a file system could not be mounted';
    const observed = [
      ...(waiting.length === 0 ? [] : [`${shortList(waiting)}: to be done ${when}`]),
      ...problems,
    ];
    const remedy =
      problems.length === 0 && isDue
        ? 'Leave the disk writable on the host, and reboot.'
        : 'See `immutafs-agent prepare`, fix the cause, and run `immutafs-agent prepare --apply` again.';
    return { status: 'warn', subject: shortList(waiting), observed: shortList(observed, '; '), remedy };
  },
};
