/**
 * Built-in functions in which code that processes lists spends its time. A call counts as 1, or with `length` as the
 * length of the list.
 */
const counted = [
  [String.prototype, ['startsWith', 'slice', 'indexOf', 'split'], 'one'],
  [Map.prototype, ['get', 'has', 'set'], 'one'],
  [Set.prototype, ['has', 'add'], 'one'],
  [Array.prototype, ['includes', 'find', 'filter', 'some', 'every', 'map', 'flatMap', 'indexOf'], 'length'],
] as const;

/**
 * Measures the work of an action in calls of built-in functions instead of seconds, so that a test can compare two
 * sizes on a busy machine. No other code may run at the same time.
 */
export async function workOf(action: () => unknown): Promise<number> {
  let work = 0;
  const undo: (() => void)[] = [];
  for (const [prototype, names, weight] of counted) {
    const table = prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const name of names) {
      const original = table[name];
      if (original === undefined) throw new Error(`no ${name}`);
      table[name] = function (this: { length: number }, ...args: unknown[]) {
        work += weight === 'one' ? 1 : this.length;
        return Reflect.apply(original, this, args);
      };
      undo.push(() => (table[name] = original));
    }
  }
  try {
    await action();
  } finally {
    for (const each of undo) each();
  }
  return work;
}
