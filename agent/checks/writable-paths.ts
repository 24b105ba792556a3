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
  title: 'every path of OVERLAY is an overlay in RAM',
  means:
    "According to the mount table, each path in OVERLAY is an overlay whose lower layer is the disk's own directory, mounted read-only, whose upper layer is the one that the boot created, and which has the mount options of OVERLAY. The reason why a path has no overlay is taken from the record of the boot. The check warns about a path that is not on the system disk, where an overlay is not needed, and about an overlay on /etc or a directory below it. With SEED=host, /etc counts as a path of OVERLAY; this overlay may be read-only (seed-genuine). In maintenance mode and with MODE=off, no overlay is mounted, and the check only fails for paths that can never get one.",
  why: 'OVERLAY names directories to which programs must be able to write. Without the overlay, they cannot, and fail. An overlay on /etc lets root change until the reboot what programs start and who may log in.',
  fix: 'Correct OVERLAY in /etc/immutafs/immutafs.conf while the disk is writable: remove a path that is refused or not needed, replace a symbolic link by the directory that it points to, and create a directory that does not exist. If mounting failed, read /run/immutafs/boot.env and `journalctl -b | grep immutafs:`, fix the cause, and reboot.',
  page: 'writable-paths.md',
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
  title: 'every path of PERSIST is kept on the data disk',
  means:
    'According to the mount table, each path of PERSIST is a mount of its directory in PERSIST_STORE, writable, and with nosuid, nodev and noexec unless the options of the path permit otherwise. For a path that is not kept, the check reports why, as the boot recorded it in /run/immutafs/persisted. The check does not read the content of the store. It also runs in maintenance mode; in the mode off, nothing is kept. A path with autostart and without maintenance must not be mounted in maintenance or in a rehearsal: root in an earlier sealed boot may have written what starts from it, and could change the system disk permanently while it is writable.',
  why: 'What programs write to a path that is not kept is lost at the next boot, or is on the system disk in maintenance and not in the store.',
  fix: 'Follow the instruction for the path, and reboot. `immutafs-agent check --ready-to-seal` names paths that cannot be kept before the guest is sealed.',
  page: 'writable-paths.md',
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
  title: 'every path of SCRATCH is on SCRATCH_DEVICE',
  means:
    'According to the mount table, each path of SCRATCH is an overlay whose upper layer is on /run/immutafs/scratch-disk, or a directory of it, and what is mounted there is a mapping on the device that the boot opened. For a path that is in memory instead, the check warns and reports why, as the boot recorded it in /run/immutafs/scratch; a path with the option required is then read-only, and the check fails.',
  why: 'A path in memory has the limits of /var, so that programs may find no space. A path on another file system may outlive the reboot.',
  fix: 'Follow the instruction for the path, and reboot.',
  page: 'writable-paths.md',
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
  title: 'no data waits to be moved',
  means:
    '/var/lib/immutafs/moves.json, in which `prepare` records the data that a maintenance boot moves to another disk, moves back or removes, has no task that waits and none that failed. A sealed boot, a rehearsal and a boot with immutafs=off carry nothing out, and neither does a boot whose kernel arguments name a target (systemd.unit=, single, a runlevel). The check also runs in maintenance mode.',
  why: 'Until its task has been carried out, the data is where it was, and may be lost at the next reboot of the sealed guest.',
  fix: '`immutafs-agent prepare` shows what waits and why a task failed. Leave the disk writable on the host, and reboot; after a failure, fix its cause and run `immutafs-agent prepare --apply` again. `immutafs-agent prepare --undo` withdraws what was only planned.',
  page: 'prepare.md',
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
