import type { AssessedFacts } from '../assess/assess.ts';

export type Status = 'pass' | 'fail' | 'warn' | 'skip' | 'error';

/** The result that a check returns for this guest. */
export interface Outcome {
  status: Exclude<Status, 'error'>;
  /** The examined objects, such as paths or devices, if there are any. */
  subject?: string;
  expected?: string;
  observed: string;
  /** The instruction to fix the problem, if there is any. */
  remedy?: string;
}

/**
 * The documentation in `status --explain`, in the journal's message catalog and in the manual page: for a check, that of
 * the Markdown file with its id, in this directory. Each text is one paragraph of plain text.
 */
export interface Documentation {
  /** The condition under which the check passes: a clause that begins in lower case or with a path. */
  title: string;
  /** What exactly the check verifies, and whether it reads a reported state or tries an operation. */
  means: string;
  /** The consequences if the condition does not hold. */
  why: string;
  /** How to make the check pass. */
  fix: string;
  /** The page that explains more, in /usr/share/doc/immutafs-agent. */
  page?: string;
}

/** The headings of the texts. */
export const headings = {
  means: 'What it checks',
  why: 'Why it matters',
  fix: 'How to fix it',
  page: 'Read on',
};

export interface Check {
  id: string;
  /** If a required check fails, the verdict is `failed`. An advisory check does not affect the verdict. */
  severity?: 'advisory';
  /** For an advisory check: when it is required nevertheless. Must not throw. */
  isRequired?: {
    /** A clause for the documentation, after "unless". */
    reason: string;
    test: (facts: AssessedFacts) => boolean;
  };
  /** Whether the check concerns the seal itself. Such a check is skipped unless the mode is `sealed`. */
  seal?: true;
  /** The default of `subject` and `expected` in an outcome; a check that is skipped has none. */
  subject?: string;
  expected?: string;
  /** Evaluates the facts; a pure function. If the function throws, the status of the check is `error`. */
  evaluate: (facts: AssessedFacts) => Outcome;
  /** MESSAGE_ID of the journal entries of this check (systemd.journal-fields(7)). Never change or reuse an id. */
  messageId: string;
}

/** An outcome in which a text is empty if there is none. */
export interface Finding extends Required<Omit<Outcome, 'status'>> {
  id: string;
  status: Status;
  severity: 'required' | 'advisory';
}

/** Returns `fail` with all problems, or `pass` without a problem. @param good what is then observed */
export function judge(problems: readonly string[], good: string, remedy: string): Outcome {
  if (problems.length === 0) return { status: 'pass', observed: good };
  return { status: 'fail', observed: problems.join('; '), remedy };
}
