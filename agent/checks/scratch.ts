import { unwrap } from '../facts/observed.ts';
import { shortList } from '../lib/format.ts';
import type { Check } from './check.ts';

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
