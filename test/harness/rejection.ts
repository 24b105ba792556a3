/** Returns the error with which a promise is rejected; uvu has no such assertion. */
export function errorOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('the promise was not rejected');
    },
    (error: unknown) => error as Error,
  );
}
