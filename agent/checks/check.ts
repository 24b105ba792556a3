import type { AssessedFacts } from '../assess/assess.ts';

export type Status = 'pass' | 'fail' | 'warn' | 'skip' | 'error';

/** The result of a check for this guest. */
export interface Outcome {
  status: Exclude<Status, 'error'>;
  /** The objects that were examined: paths, devices. Empty if the check has none. */
  subject: string;
  expected: string;
  observed: string;
  /** What to do; empty if there is nothing to do. */
  remedy: string;
}

/** The text of `status --explain`, the journal's catalog and the manual: plain text, one paragraph each. */
export interface Documentation {
  /** What holds if the check passes: a clause that begins in lower case or with a path. */
  title: string;
  /** What exactly is checked, and how: a claim that is read, or an operation that is tried. */
  means: string;
  /** What goes wrong if the check fails. */
  why: string;
  /** How to make the check pass. */
  fix: string;
}

export interface Check {
  id: string;
  /** A required check that fails makes the verdict `failed`; an advisory check never does. */
  severity: 'required' | 'advisory';
  /** Whether the check concerns the seal itself; it is skipped unless the mode is `sealed`. */
  seal: boolean;
  /** Pure. If it throws, the status of the check is `error`. */
  evaluate: (facts: AssessedFacts) => Outcome;
  /** journald's MESSAGE_ID of its findings (journal-fields(7)): 128 bits, never changed, never reused. */
  messageId: string;
  documentation: Documentation;
}

export interface Finding extends Omit<Outcome, 'status'> {
  id: string;
  status: Status;
  severity: Check['severity'];
}
