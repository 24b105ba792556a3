import { SystemError, errorCode, errorMessage } from '../lib/errors.ts';

/** A value, or the reason why it could not be read, so that one unreadable value does not hide the others. */
export type Observed<T> = { value: T } | { error: string; code: string };

/** Returns the result of `read`, or the error that it throws. */
export function observe<T>(read: () => T): Observed<T> {
  try {
    return { value: read() };
  } catch (error) {
    return { error: errorMessage(error), code: errorCode(error) };
  }
}

/** Same as observe, for a function that returns a promise. */
export async function observeAsync<T>(read: () => Promise<T>): Promise<Observed<T>> {
  try {
    return { value: await read() };
  } catch (error) {
    return { error: errorMessage(error), code: errorCode(error) };
  }
}

/**
 * Returns the value.
 * @throws SystemError if the value could not be read; the status of the check that needs the value is then `error`
 */
export function unwrap<T>(observed: Observed<T>): T {
  if ('value' in observed) return observed.value;
  throw new SystemError(observed.error, observed.code);
}

/** Returns the value; undefined if it could not be read. */
export function valueOf<T>(observed: Observed<T>): T | undefined {
  return 'value' in observed ? observed.value : undefined;
}
