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

/** The product of the numbers of lines up to which two texts are compared line by line. */
const mostComparisons = 4_000_000;

/**
 * Returns the hunks of a unified diff (diff(1), -u), with three unchanged lines around each difference. Lines at the
 * beginning and at the end that are equal are not compared, so a line appended to a long log costs little.
 * @returns undefined if the rest of the texts is too long to be compared
 */
export function unifiedHunks(before: string, after: string): string[] | undefined {
  const [old, now] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let end = 0;
  while (end < Math.min(old.length, now.length) - start && old.at(-1 - end) === now.at(-1 - end)) end += 1;
  const [oldMiddle, nowMiddle] = [old.slice(start, old.length - end), now.slice(start, now.length - end)];
  if (oldMiddle.length * nowMiddle.length > mostComparisons) return undefined;
  const first = Math.max(0, start - context);
  const marked = [
    ...old.slice(first, start).map((line) => ` ${line}`),
    ...compare(oldMiddle, nowMiddle),
    ...old.slice(old.length - end, old.length - end + context).map((line) => ` ${line}`),
  ];
  return hunks(marked, first);
}

/** The number of unchanged lines around a difference in a unified diff. */
const context = 3;

/** Divides marked lines into hunks. @param skipped the number of lines before the first one */
function hunks(marked: readonly string[], skipped: number): string[] {
  const output: string[] = [];
  let [oldLine, newLine] = [skipped, skipped];
  let hunk: string[] = [];
  let unchanged = 0;
  const finish = () => {
    const kept = hunk.slice(0, hunk.length - Math.max(0, unchanged - context));
    const [olds, news] = ['+', '-'].map((sign) => kept.filter((line) => !line.startsWith(sign)).length);
    const dropped = hunk.length - kept.length;
    const range = (line: number, all: number, count = 0) =>
      `${line - all - dropped + (count === 0 ? 0 : 1)},${count}`;
    output.push(`@@ -${range(oldLine, olds ?? 0, olds)} +${range(newLine, news ?? 0, news)} @@`, ...kept);
    hunk = [];
  };
  let before: string[] = [];
  for (const line of marked) {
    const isChange = !line.startsWith(' ');
    unchanged = isChange ? 0 : unchanged + 1;
    if (hunk.length > 0) {
      hunk.push(line);
    } else if (isChange) {
      hunk = [...before, line];
    }
    before = isChange ? [] : [...before, line].slice(-context);
    if (!line.startsWith('+')) oldLine += 1;
    if (!line.startsWith('-')) newLine += 1;
    if (hunk.length > 0 && unchanged > 2 * context) finish();
  }
  if (hunk.length > 0) finish();
  return output;
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
