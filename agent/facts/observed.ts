import { HostError, errorCode, errorMessage } from '../lib/errors.ts';

/** A value, or the reason why it could not be read. One unreadable thing must not hide the others. */
export type Observed<T> = { value: T } | { error: string; code: string };

/** Catches every error of `read` and keeps it as the result. */
export function observe<T>(read: () => T): Observed<T> {
  try {
    return { value: read() };
  } catch (error) {
    return { error: errorMessage(error), code: errorCode(error) };
  }
}

/** As observe, for a promise. */
export async function observeAsync<T>(read: () => Promise<T>): Promise<Observed<T>> {
  try {
    return { value: await read() };
  } catch (error) {
    return { error: errorMessage(error), code: errorCode(error) };
  }
}

/** @throws HostError if the value could not be read: the check that needs it is then `error` */
export function unwrap<T>(observed: Observed<T>): T {
  if ('value' in observed) return observed.value;
  throw new HostError(observed.error, observed.code);
}
