/**
 * Returns the lines that differ between two texts, in order. "-" precedes a removed line, "+" an added line, and " " an
 * unchanged line next to a removed or added one.
 * @param around the number of unchanged lines to include before and after each difference
 */
export function diffLines(before: string, after: string, around = 1): string[] {
  const [old, now] = [linesOf(before), linesOf(after)];
  const marked = compare(old, now);
  return marked.filter((_, index) =>
    marked.slice(Math.max(0, index - around), index + around + 1).some((line) => !line.startsWith(' ')),
  );
}

/**
 * Splits a text into lines. The last line is marked if it has no newline, so that adding the newline is a difference.
 */
function linesOf(text: string): string[] {
  const lines = text.split('\n');
  const last = lines.pop() ?? '';
  return last === '' ? lines : [...lines, `${last} (without a newline)`];
}

/** Computes the longest common subsequence, in quadratic time, which suffices because configuration files are small. */
function compare(old: readonly string[], now: readonly string[]): string[] {
  const lengths = commonLengths(old, now);
  const at = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  const marked: string[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      marked.push(` ${old[i++]}`);
      j += 1;
    } else if (i < old.length && at(i + 1, j) >= at(i, j + 1)) {
      marked.push(`-${old[i++]}`);
    } else {
      marked.push(`+${now[j++]}`);
    }
  }
  return marked;
}

/** Returns, for each pair of positions, the length of the longest common subsequence of the lines from there on. */
function commonLengths(old: readonly string[], now: readonly string[]): number[][] {
  const lengths = Array.from({ length: old.length + 1 }, () => new Array<number>(now.length + 1).fill(0));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      const [row, below] = [lengths[i] ?? [], lengths[i + 1] ?? []];
      row[j] = old[i] === now[j] ? (below[j + 1] ?? 0) + 1 : Math.max(below[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  return lengths;
}
