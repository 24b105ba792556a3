import * as assert from 'uvu/assert';
import { SystemError } from '../../agent/lib/errors.ts';

/** Returns the error with which a promise is rejected; uvu has no such assertion. */
export function errorOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('the promise was not rejected');
    },
    (error: unknown) => error as Error,
  );
}

/** Asserts that an action throws a SystemError. */
export function fails(action: () => unknown, code: string, said: RegExp): void {
  assert.throws(action, (error: unknown) => {
    assert.instance(error, SystemError);
    assert.is((error as SystemError).code, code);
    assert.match((error as SystemError).message, said);
    return true;
  });
}
