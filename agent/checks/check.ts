import type { Facts } from '../observe/facts.ts';

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

export interface Check {
  id: string;
  /** A required check that fails makes the verdict `failed`; an advisory one is only said. */
  severity: 'required' | 'advisory';
  /** Whether it is about the seal itself, and so skipped where the guest is not meant to be sealed. */
  seal: boolean;
  /** Pure. What it throws makes the check `error`. */
  evaluate: (facts: Facts) => Outcome;
}

export interface Finding extends Omit<Outcome, 'status'> {
  id: string;
  status: Status;
  severity: Check['severity'];
}
