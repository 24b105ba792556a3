/**
 * Returns a function that calls `work` once, at its first call, and returns this result at each call. Tests that share a
 * boot then all fail with its error, which uvu would hide if a `before` hook threw it.
 */
export function shared<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= work());
}
