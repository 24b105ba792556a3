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
  title: 'every running program came from the sealed disk',
  means:
    'For each process, the executable (/proc/PID/exe) and every file that is mapped as executable (/proc/PID/maps) are on a disk that the host made read-only (see host-enforced). The check reports files in memory (tmpfs, memfd), files that were written in an overlay since boot, files on other disks, deleted files, and files of another mount namespace that are not on such a disk; a process in a session of `immutafs-agent session` is reported as such. A file of the lower layer of an overlay that nothing has changed came from the sealed disk. Files are compared by device, not by path. Left out are kernel threads, programs of the initramfs that still run, and code in anonymous memory, such as that of a just-in-time compiler. Scripts are not seen: the program that runs is their interpreter. A process that starts and ends between two checks is not seen either. FOREIGN_PROGRAMS_ALLOW permits paths; FOREIGN_PROGRAMS=fail makes the check required, off switches it off. If the agent does not run as root, the check is skipped, or with FOREIGN_PROGRAMS=fail cannot be evaluated.',
  why: 'On a sealed guest, everything that was installed is on the sealed disk. A program from anywhere else is new since this boot, or was kept on a data disk: software that an administrator put there, or that of an attacker.',
  fix: 'Find out what the process does and who started it: systemctl status PID, ls -l /proc/PID/exe. If it is legitimate, install the program while the disk is writable, or list its path in FOREIGN_PROGRAMS_ALLOW. If it is not, save the evidence and reboot. Mount writable file systems with noexec, so that programs cannot be started from there. Programs in containers are reported if their image is not on the sealed disk, and on kernels from 6.7 on in any case.',
  page: 'changes.md',
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
