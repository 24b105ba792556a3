import { unwrap } from '../facts/observed.ts';
import { shortList } from '../lib/format.ts';
import type { Check } from './check.ts';

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
