import type { AssessedFacts } from '../assess/assess.ts';
import { requiredOptions } from '../facts/mounts/targets.ts';
import type { Check, Outcome } from './check.ts';

/** Verifies that the kernel refuses to run a program on a noexec target. */
export const execProbe: Check = {
  id: 'exec-probe',
  severity: 'required',
  seal: false,
  messageId: 'efb5da9ab1b44c1691597a85e7f6359a',
  documentation: {
    title: 'the kernel refuses to run a program on a noexec target',
    means:
      'With --probe, the agent creates an unnamed program file on each target for which REQUIRE_OPTIONS requires noexec, and tries to run it. The execution must fail with EACCES. The error is the same if an SELinux policy forbids the execution.',
    why: 'The mount table can be forged or stale, so the check tries the operation.',
    fix: 'Fix home-options, tmp-options or other-options first. If those checks pass, the mount table does not show the real mount: see stacked-mounts and kernel-view.',
  },
  evaluate: (facts) =>
    evaluateTrial(facts, {
      option: 'noexec',
      kind: 'exec',
      expected: 'EACCES',
      good: { EACCES: 'EACCES' },
      bad: { RAN: 'the program ran' },
    }),
};

/** Verifies that the kernel ignores the set-uid bit of a program on a nosuid target. */
export const suidProbe: Check = {
  id: 'suid-probe',
  severity: 'required',
  seal: false,
  messageId: 'eb300224a4bc4b4780fdecdd5fa909cc',
  documentation: {
    title: 'the kernel ignores the set-uid bit on a nosuid target',
    means:
      'With --probe and as root, the agent creates an unnamed set-uid program of root on each target for which REQUIRE_OPTIONS requires nosuid, and runs it as the user nobody. The program must run with the rights of nobody, or not at all on a target that is also noexec.',
    why: 'The mount table can be forged or stale, so the check tries the operation.',
    fix: 'Fix home-options, tmp-options or other-options first. If those checks pass, the mount table does not show the real mount: see stacked-mounts and kernel-view.',
  },
  evaluate: (facts) =>
    evaluateTrial(facts, {
      option: 'nosuid',
      kind: 'suid',
      expected: 'no privileges gained',
      good: { IGNORED: 'the set-uid bit has no effect', EACCES: 'the program did not run (noexec)' },
      bad: { HONOURED: 'the set-uid program ran as root' },
    }),
};

/** Verifies that the kernel refuses to open a device node on a nodev target. */
export const deviceProbe: Check = {
  id: 'device-probe',
  severity: 'required',
  seal: false,
  messageId: '66b7d62558c14fb187d098761da54102',
  documentation: {
    title: 'the kernel refuses to open a device node on a nodev target',
    means:
      'With --probe and as root, a child process creates a node of /dev/null on each target for which REQUIRE_OPTIONS requires nodev, and tries to open it. Opening the node must fail with EACCES. The child process removes the node even if the agent is killed in the meantime.',
    why: 'The mount table can be forged or stale, so the check tries the operation.',
    fix: 'Fix home-options, tmp-options or other-options first. If those checks pass, the mount table does not show the real mount: see stacked-mounts and kernel-view.',
  },
  evaluate: (facts) =>
    evaluateTrial(facts, {
      option: 'nodev',
      kind: 'device',
      expected: 'EACCES',
      good: { EACCES: 'EACCES' },
      bad: { OPENED: 'the device was opened' },
    }),
};

interface Trial {
  option: string;
  kind: 'exec' | 'suid' | 'device';
  expected: string;
  good: Record<string, string>;
  bad: Record<string, string>;
}

function evaluateTrial(facts: AssessedFacts, { option, kind, expected, good, bad }: Trial): Outcome {
  const skip = (observed: string): Outcome => ({
    status: 'skip',
    expected,
    observed,
  });
  const answers = facts.optionProbes;
  if (answers === undefined) return skip('not tried without --probe');
  const targets = requiredOptions(facts.config)
    .filter(({ target, list }) => list.includes(option) && facts.present.includes(target))
    .map(({ target }) => ({ target, answer: answers[target]?.[kind] ?? 'no answer' }));
  if (targets.length === 0) return skip(`REQUIRE_OPTIONS requires ${option} for no existing path`);
  const wrong = targets.filter(({ answer }) => Object.hasOwn(bad, answer));
  if (wrong.length > 0) {
    const subject = wrong.map(({ target }) => target).join(' ');
    const observed = [...new Set(wrong.map(({ answer }) => bad[answer] ?? ''))].join('; ');
    const remedy = `Mount ${subject} with ${option}.`;
    return { status: 'fail', subject, expected, observed, remedy };
  }
  const unclear = targets.find(({ answer }) => !Object.hasOwn(good, answer));
  if (unclear !== undefined) {
    if (!facts.identity.root && unclear.answer === 'EPERM') return skip('not tried: needs root');
    throw new Error(`${unclear.target}: ${unclearAnswers[unclear.answer] ?? unclear.answer}`);
  }
  const subject = targets.map(({ target }) => target).join(' ');
  const observed = [...new Set(targets.map(({ answer }) => good[answer] ?? ''))].join('; ');
  return { status: 'pass', subject, expected, observed };
}

const unclearAnswers: Record<string, string> = {
  TIMEOUT: 'no answer in time, the file system hangs',
  NO_NEW_PRIVS: 'not testable: the agent runs with no_new_privs',
  EPERM: 'not permitted',
  EROFS: 'no file can be created: the file system is read-only',
};
