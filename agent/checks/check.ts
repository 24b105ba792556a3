import type { AssessedFacts } from '../assess/assess.ts';

export type Status = 'pass' | 'fail' | 'warn' | 'skip' | 'error';

/** What a check says of this guest. */
export interface Outcome {
  status: Exclude<Status, 'error'>;
  /** What was looked at. */
  subject: string;
  expected: string;
  observed: string;
  /** What to do about it; empty where there is nothing to do. */
  remedy: string;
}

/** What `status --explain`, the journal's catalog and the manual say of a check: plain text, a paragraph each. */
export interface Documentation {
  /** What holds when it passes, a clause that begins in lower case or with a path. */
  title: string;
  /** What is looked at, exactly. */
  means: string;
  /** What goes wrong where it does not hold. */
  why: string;
  /** How to make it hold. */
  fix: string;
}

export interface Check {
  id: string;
  /** A required check that fails makes the verdict `failed`; an advisory one is only said. */
  severity: 'required' | 'advisory';
  /** Whether it is about the seal itself, and so skipped where the guest is not meant to be sealed. */
  seal: boolean;
  /** Pure. What it throws makes the check `error`. */
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
