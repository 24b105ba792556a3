import type { AssessedFacts } from '../assess/assess.ts';
import type { ForeignProgram, ForeignPrograms } from '../facts/security/programs/foreign-programs.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import { shortList } from '../lib/format.ts';
import type { Check, Outcome } from './check.ts';

export const foreignPrograms: Check = {
  id: 'foreign-programs',
  severity: 'advisory',
  isRequired: {
    reason: 'the configuration makes the check required',
    test: ({ config }) => config.FOREIGN_PROGRAMS === 'fail',
  },
  seal: true,
  messageId: '4328ca39e3b34c0c88913b5913526761',
  expected: 'only files on disks that the host made read-only',
  evaluate: (facts) => {
    const { FOREIGN_PROGRAMS } = facts.config;
    if (FOREIGN_PROGRAMS === 'off') return skip('switched off by FOREIGN_PROGRAMS');
    const bad = FOREIGN_PROGRAMS === 'fail' ? 'fail' : 'warn';
    const programs = unwrap(facts.programs);
    if (programs === undefined) {
      const observed = 'not examined: the host did not make the disk under / read-only';
      if (bad === 'warn') return skip(observed);
      return {
        status: bad,
        subject: '/',
        observed,
        remedy: 'Have the host make the system disks read-only.',
      };
    }
    if (programs.count > 0) return { status: bad, ...describeFound(programs) };
    if (programs.unexamined.length === 0)
      return { status: 'pass', observed: `${programs.examined} processes` };
    if (!facts.identity.root && bad === 'warn') return skip('not examined: only root can examine all');
    throw new Error(`not examined: ${describeUnexamined(programs)}`);
  },
};

function skip(observed: string): Outcome {
  return { status: 'skip', subject: 'processes', expected: foreignPrograms.expected ?? '', observed };
}

/** Programs that are named in one line; the report has more. */
const named = 3;

function describeFound(programs: ForeignPrograms): Omit<Outcome, 'status' | 'expected'> {
  const { list, count, unexamined } = programs;
  const found = list.slice(0, named).map(describeProgram);
  const more = count > found.length ? ` and ${count - found.length} more` : '';
  const unknown = unexamined.length === 0 ? '' : `; not examined: ${describeUnexamined(programs)}`;
  const [{ pid } = { pid: 0 }] = list;
  return {
    subject: shortList([...new Set(list.map(({ path }) => path))], ' ', named),
    observed: `${found.join('; ')}${more}${unknown}`,
    remedy: `Find out who started it: systemctl status ${pid}. If it is legitimate: FOREIGN_PROGRAMS_ALLOW.`,
  };
}

/** Describes a program: "PID 812 (alice, session-3.scope) runs /dev/shm/x: in memory, tmpfs at /dev/shm" */
function describeProgram({ pid, user, unit, path, role, reason }: ForeignProgram): string {
  const who = [user, unit].filter((each) => each !== '').join(', ');
  return `PID ${pid}${who === '' ? '' : ` (${who})`} ${role === 'executable' ? 'runs' : 'maps'} ${path}: ${reason}`;
}

function describeUnexamined({ unexamined, examined }: ForeignPrograms): string {
  const [first] = unexamined;
  return `${unexamined.length} of ${unexamined.length + examined} processes (PID ${first?.pid ?? 0}: ${first?.reason ?? ''})`;
}

/** Whether the search ran, so that the report can list its result. */
export function foundPrograms({ programs, config, mode }: AssessedFacts): ForeignPrograms | undefined {
  if (config.FOREIGN_PROGRAMS === 'off' || mode.mode !== 'sealed') return undefined;
  return valueOf(programs);
}
