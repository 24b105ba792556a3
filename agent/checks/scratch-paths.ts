import { shortList } from '../lib/format.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check, Outcome } from './check.ts';

/** Verifies that each path of SCRATCH is on the encrypted file system of this boot. */
export const scratchPaths: Check = {
  id: 'scratch-paths',
  severity: 'required',
  seal: true,
  messageId: 'ff4fac0449704774a57ed1824b36567f',
  documentation: {
    title: 'every path of SCRATCH is on SCRATCH_DEVICE',
    means:
      'According to the mount table, each path of SCRATCH is an overlay whose upper layer is on /run/immutafs/scratch-disk, or a directory of it, and what is mounted there is a mapping on the device that the boot opened. For a path that is in memory instead, the check warns and reports why, as the boot recorded it in /run/immutafs/scratch; a path with the option required is then read-only, and the check fails.',
    why: 'A path in memory has the limits of /var, so that programs may find no space. A path on another file system may outlive the reboot.',
    fix: 'Follow the instruction for the path, and reboot.',
    page: 'writable-paths.md',
  },
  evaluate: ({ scratchPaths: assessed }) => {
    const found = unwrap(assessed);
    if (found.length === 0) return { status: 'skip', observed: 'SCRATCH is empty' };
    const bad = found.filter(({ state }) => state !== 'disk' && state !== 'memory');
    const inMemory = found.filter(({ state }) => state === 'memory');
    const named = bad.length > 0 ? bad : inMemory;
    const outcome: Pick<Outcome, 'subject' | 'expected'> = {
      subject: shortList((named.length > 0 ? named : found).map(({ path }) => path)),
      expected: 'on SCRATCH_DEVICE',
    };
    if (named.length === 0)
      return { ...outcome, status: 'pass', observed: 'encrypted with a key of this boot' };
    return {
      ...outcome,
      status: bad.length > 0 ? 'fail' : 'warn',
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
