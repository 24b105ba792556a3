/**
 * Returns a function that calls `work` once, at its first call, and returns this result at each call. Tests that share a
 * boot then all fail with its error, which uvu would hide if a `before` hook threw it.
 */
export function shared<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= work());
}

/**
 * Returns a function that opens a fixture at its first call, and returns the same fixture at each call, and a function that
 * closes the fixture. To call it is the last test of a suite, because uvu prints no error of a test if an `after` hook
 * throws one.
 */
export function held<T>(withFixture: (work: (fixture: T) => Promise<void>) => Promise<void>) {
  const closing = Promise.withResolvers<undefined>();
  let ended: Promise<void> | undefined;
  let isOpen = false;
  const open = shared(
    () =>
      new Promise<T>((resolve, reject) => {
        ended = withFixture(async (fixture) => {
          isOpen = true;
          resolve(fixture);
          await closing.promise;
        });
        ended.catch(reject);
      }),
  );
  const close = async () => {
    closing.resolve(undefined);
    // The error of a fixture that could not be opened is already that of each test.
    if (isOpen) await ended;
  };
  return { open, close };
}
