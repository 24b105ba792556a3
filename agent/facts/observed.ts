import { HostError, errorCode, errorMessage } from '../lib/errors.ts';

/** What was seen, or why it could not be. One thing that cannot be read must not hide the others. */
export type Observed<T> = { value: T } | { error: string; code: string };

/** Runs a reading of the system and keeps its failure, whatever it is, as its answer. */
export function observe<T>(read: () => T): Observed<T> {
  try {
    return { value: read() };
  } catch (error) {
    return { error: errorMessage(error), code: errorCode(error) };
  }
}

export async function observeLater<T>(read: () => Promise<T>): Promise<Observed<T>> {
  try {
    return { value: await read() };
  } catch (error) {
    return { error: errorMessage(error), code: errorCode(error) };
  }
}

/** @throws HostError where nothing could be seen; the check that asked is then `error` */
export function unwrap<T>(observed: Observed<T>): T {
  if ('value' in observed) return observed.value;
  throw new HostError(observed.error, observed.code);
}
