import { SystemError, errorCode, errorMessage } from '../../agent/lib/errors.ts';

/** Why a path cannot be used, and what to do. */
export interface Refusal {
  reason: string;
  remedy: string;
}

/** Why a path is not kept. */
export class Refused extends Error implements Refusal {
  readonly reason: string;
  readonly remedy: string;

  constructor(reason: string, remedy: string) {
    super(reason);
    this.reason = reason;
    this.remedy = remedy;
  }
}

export function refuse(reason: string, remedy: string): never {
  throw new Refused(reason, remedy);
}

/** @throws Refused with the refusal, if there is one */
export function unlessRefused(refusal: Refusal | undefined): void {
  if (refusal !== undefined) refuse(refusal.reason, refusal.remedy);
}

/** Runs an action. @returns why it failed, also if the system did not answer; undefined if it did not fail */
export function refusalOf(action: () => void): Refusal | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof Refused) return error;
    if (error instanceof SystemError || errorCode(error) !== '')
      return { reason: errorMessage(error), remedy: 'See dmesg.' };
    throw error;
  }
}
