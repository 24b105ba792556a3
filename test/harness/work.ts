/** Built-in functions in which code that goes through lists spends its time; `length`: as much as the list has. */
const counted = [
  [String.prototype, ['startsWith', 'slice', 'indexOf', 'split'], 'one'],
  [Map.prototype, ['get', 'has', 'set'], 'one'],
  [Set.prototype, ['has', 'add'], 'one'],
  [Array.prototype, ['includes', 'find', 'filter', 'some', 'every', 'map', 'flatMap', 'indexOf'], 'length'],
] as const;

/**
 * How much work an action does, in calls of built-in functions instead of seconds, so that a test can compare two
 * sizes on a busy machine. Nothing else may run meanwhile.
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
