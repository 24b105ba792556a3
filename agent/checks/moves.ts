import { unwrap } from '../facts/observed.ts';
import { shortList } from '../lib/format.ts';
import type { Check } from './check.ts';

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
