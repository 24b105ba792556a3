import type { Rule } from './boot-keys.ts';
import type { Meant } from './parse.ts';

/** @param name an unknown key */
export function suggestKey(name: string, keys: readonly string[]): Meant {
  const near = nearest(name, keys) ?? keys.filter((key) => name.startsWith(key)).toSorted(byLength)[0];
  const meant = near ?? nearest(name.split('_', 1)[0] ?? '', keys);
  return { ...(meant === undefined ? {} : { meant }), hint: near === undefined ? '' : question(near) };
}

/** @param line a line that is not KEY=value, such as "mode = off" */
export function suggestLine(line: string, rules: Readonly<Record<string, Rule>>): Meant {
  const [, written = '', sign = '', rest = ''] =
    /^["']?([A-Za-z][A-Za-z_-]*)["']?[ \t]*([=:]?)[ \t]*(.*)$/.exec(line) ?? [];
  const name = written.toUpperCase().replaceAll('-', '_');
  const { meant } = Object.hasOwn(rules, name) ? { meant: name } : suggestKey(name, Object.keys(rules));
  const rule = meant === undefined ? undefined : rules[meant];
  if (meant === undefined || rule === undefined) return { hint: '' };
  if (sign === '') return { meant, hint: question(`${meant}=`) };
  const value = rule.good(rest) ? rest : repairValue(rest, rule);
  return { meant, hint: question(`${meant}=${value ?? ''}`) };
}

/** Returns the hint for an invalid value, or an invalid item of a list. */
export function suggestValue(value: string, rule: Rule): string {
  const repaired = repairValue(value, rule);
  if (repaired !== undefined) return question(repaired);
  const why = rule.why?.(value) ?? '';
  return why === '' ? '' : ` (${why})`;
}

/** Returns a valid value that is written like an invalid one: without quotes, in lower case, with the most similar words. */
function repairValue(value: string, rule: Rule): string | undefined {
  // A hint would not show it.
  if (value.length > 2 * longest) return undefined;
  const plain = value.replace(/^(["'])(.*)\1$/, '$2');
  const lower = plain.toLowerCase();
  const options = rule.words ?? [];
  const similar = lower
    .split(/[ \t]+/)
    .map((item) => similarItem(item, options))
    .join(' ');
  const candidates = [plain, lower, lower.replace(/[ \t]/g, ''), similar, `${plain}%`];
  return candidates.find((each) => each !== '' && rule.good(each));
}

/** Replaces each word of an item, which is WORD,WORD or PATH:WORD,WORD, by the most similar one. */
function similarItem(item: string, options: readonly string[]): string {
  const [, path = '', tail = ''] = /^(\/[^:]*:)?(.*)$/.exec(item) ?? [];
  return (
    path +
    tail
      .split(',')
      .map((word) => nearest(word, options) ?? word)
      .join()
  );
}

/** The maximum length of a hint. */
const longest = 100;

/** A hint that a terminal or a log shows as it is. */
function question(text: string): string {
  return text.length <= longest && /^[ -~]+$/.test(text) ? ` (did you mean ${text}?)` : '';
}

/** Returns the word that differs from a text by at most two typing errors, and by less than half of its letters. */
function nearest(text: string, candidates: readonly string[]): string | undefined {
  const near = candidates
    .map((word) => ({ word, errors: typingErrors(text, word) }))
    .filter(({ word, errors }) => errors <= 2 && 2 * errors < word.length)
    .toSorted((a, b) => a.errors - b.errors);
  return near[0]?.word;
}

/** The number of letters that are missing, superfluous, wrong or exchanged with the next one; 3 if there are at least 3. */
function typingErrors(text: string, word: string): number {
  if (Math.abs(text.length - word.length) > 2) return 3;
  const [letters, others] = [text.split(''), word.split('')];
  const rows: number[][] = [[0, ...others.map((_, column) => column + 1)]];
  for (const [row, letter] of letters.entries()) {
    const line = [row + 1];
    for (const [column, other] of others.entries()) {
      const isExchanged = row > 0 && column > 0 && letter === word[column - 1] && text[row - 1] === other;
      const above = rows[row]?.[column + 1] ?? 0;
      const corner = (rows[row]?.[column] ?? 0) + Number(letter !== other);
      const exchanged = isExchanged ? (rows[row - 1]?.[column - 1] ?? 0) + 1 : Infinity;
      line.push(Math.min(above + 1, (line[column] ?? 0) + 1, corner, exchanged));
    }
    rows.push(line);
  }
  return Math.min(3, rows[text.length]?.[word.length] ?? 0);
}

function byLength(a: string, b: string): number {
  return b.length - a.length;
}
