import type { AssessedFacts } from '../assess/assess.ts';
import { requiredOptions } from '../facts/mounts/targets.ts';
import type { Check, Outcome } from './check.ts';

/** A program that lies on a noexec target is not run. */
export const execProbe: Check = {
  id: 'exec-probe',
  severity: 'required',
  seal: false,
  messageId: 'efb5da9ab1b44c1691597a85e7f6359a',
  documentation: {
    title: 'a program on a noexec target is not run',
    means:
      'With --probe: the agent puts a program without a name on each target that REQUIRE_OPTIONS wants noexec and starts it; the kernel answers EACCES. An SELinux policy that forbids it gives the same answer.',
    why: "A mount table is a claim. This is the kernel's answer to the deed.",
    fix: 'See home-options, tmp-options and other-options: the option is missing, or what you see is not what is mounted.',
  },
  evaluate: (facts) =>
    tried(facts, {
      option: 'noexec',
      kind: 'exec',
      expected: 'refused with EACCES',
      good: { EACCES: 'EACCES' },
      bad: { RAN: 'a program was run' },
    }),
};

/** A set-uid program on a nosuid target gives nobody's process no rights. */
export const suidProbe: Check = {
  id: 'suid-probe',
  severity: 'required',
  seal: false,
  messageId: 'eb300224a4bc4b4780fdecdd5fa909cc',
  documentation: {
    title: 'a set-uid program on a nosuid target gives no rights',
    means:
      "With --probe, as root: the agent puts a set-uid program of root's without a name on each target that REQUIRE_OPTIONS wants nosuid and starts it as nobody. It runs as nobody; or, on a noexec target, not at all, and then noexec is what prevents it.",
    why: "A mount table is a claim. This is the kernel's answer to the deed.",
    fix: 'See home-options, tmp-options and other-options: the option is missing, or what you see is not what is mounted.',
  },
  evaluate: (facts) =>
    tried(facts, {
      option: 'nosuid',
      kind: 'suid',
      expected: 'no rights gained',
      good: { IGNORED: 'the set-uid bit has no effect', EACCES: 'not run at all (noexec)' },
      bad: { HONOURED: 'the set-uid bit gave root' },
    }),
};

/** A device node on a nodev target cannot be opened. */
export const deviceProbe: Check = {
  id: 'device-probe',
  severity: 'required',
  seal: false,
  messageId: '66b7d62558c14fb187d098761da54102',
  documentation: {
    title: 'a device node on a nodev target cannot be opened',
    means:
      'With --probe, as root: a child process makes a node of /dev/null on each target that REQUIRE_OPTIONS wants nodev, opens it, which the kernel refuses with EACCES, and removes it, even if the agent is killed meanwhile.',
    why: "A mount table is a claim. This is the kernel's answer to the deed.",
    fix: 'See home-options, tmp-options and other-options: the option is missing, or what you see is not what is mounted.',
  },
  evaluate: (facts) =>
    tried(facts, {
      option: 'nodev',
      kind: 'device',
      expected: 'refused with EACCES',
      good: { EACCES: 'EACCES' },
      bad: { OPENED: 'a device was opened' },
    }),
};

interface Trial {
  option: string;
  kind: 'exec' | 'suid' | 'device';
  expected: string;
  good: Record<string, string>;
  bad: Record<string, string>;
}

function tried(facts: AssessedFacts, { option, kind, expected, good, bad }: Trial): Outcome {
  const skip = (observed: string): Outcome => ({
    status: 'skip',
    subject: '',
    expected,
    observed,
    remedy: '',
  });
  const answers = facts.optionProbes;
  if (answers === undefined) return skip('only with --probe');
  const targets = requiredOptions(facts.config)
    .filter(({ target, list }) => list.includes(option) && facts.present.includes(target))
    .map(({ target }) => ({ target, answer: answers[target]?.[kind] ?? 'no answer' }));
  if (targets.length === 0) return skip(`REQUIRE_OPTIONS wants ${option} of nothing that is there`);
  const wrong = targets.filter(({ answer }) => Object.hasOwn(bad, answer));
  if (wrong.length > 0) {
    const subject = wrong.map(({ target }) => target).join(' ');
    const observed = [...new Set(wrong.map(({ answer }) => bad[answer] ?? ''))].join('; ');
    const remedy = `Mount ${subject} with ${option}.`;
    return { status: 'fail', subject, expected, observed, remedy };
  }
  const unclear = targets.find(({ answer }) => !Object.hasOwn(good, answer));
  if (unclear !== undefined) {
    if (!facts.identity.root && unclear.answer === 'EPERM') return skip('needs root');
    throw new Error(`${unclear.target}: ${unclearWords[unclear.answer] ?? unclear.answer}`);
  }
  const subject = targets.map(({ target }) => target).join(' ');
  const observed = [...new Set(targets.map(({ answer }) => good[answer] ?? ''))].join('; ');
  return { status: 'pass', subject, expected, observed, remedy: '' };
}

const unclearWords: Record<string, string> = {
  TIMEOUT: 'no answer in time, the file system hangs',
  NO_NEW_PRIVS: 'the agent itself may gain no rights (no_new_privs), so nothing can be told',
  EPERM: 'not permitted',
  EROFS: 'nothing can be put there: it is read-only',
};
