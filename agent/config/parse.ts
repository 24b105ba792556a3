/** The grammar of immutafs.conf, for the agent (config.ts) and for the boot (boot/guest/config.ts). */
import { type Rule, words } from './boot-keys.ts';

export const configFile = '/etc/immutafs/immutafs.conf';
export const maximumBytes = 65536;

export interface ConfigProblem {
  /** The number of the line, beginning with 1; 0 for the whole file. */
  line: number;
  key: string;
  reason: string;
  /** What may have been meant, which only the agent says: " (did you mean poweroff?)", or the empty string. */
  hint: string;
  /** For a line without a valid key: the key that it concerns, if that can be told. */
  meant?: string;
}

export interface Lines<Name extends string> {
  values: Record<Name, string>;
  problems: ConfigProblem[];
  /** The number of the line that counts, for each key that the file has. */
  lines: Map<string, number>;
}

/** What may have been meant by a line whose key is unknown or that is not KEY=value. */
export interface Meant {
  /** The key that the line concerns, if that can be told. */
  meant?: string;
  /** " (did you mean MODE=off?)", or the empty string. */
  hint: string;
}

/** What the agent and the boot do differently. */
export interface Aids {
  /** Decodes a value, which has one character per byte. */
  decode: (bytes: string) => string;
  /** Return what may have been meant by an unknown key, by a line that is not KEY=value, and by an invalid value. */
  key: (name: string, keys: readonly string[]) => Meant;
  line: (line: string, rules: Readonly<Record<string, Rule>>) => Meant;
  value: (value: string, rule: Rule) => string;
}

/**
 * Parses a file of `KEY=value` lines (parseConfig).
 * @param text one character per byte (latin1)
 * @param rules the keys of the file
 */
export function parseLines<Name extends string>(
  text: string,
  rules: Readonly<Record<Name, Rule>>,
  aids: Aids,
): Lines<Name> {
  const values = valuesBy(rules, ({ initial }) => initial);
  const lines = new Map<string, number>();
  if (text.length > maximumBytes) return ignored(rules, `larger than ${maximumBytes} bytes`);
  const problems = text.split('\n').flatMap((line, index) => {
    const found = readLine(trim(line), index + 1, { rules, config: values, lines, aids });
    return found.map((problem) => ({ line: index + 1, ...problem }));
  });
  return { values, problems, lines };
}

/** The result for a file that cannot be used. */
export function ignored<Name extends string>(
  rules: Readonly<Record<Name, Rule>>,
  reason: string,
): Lines<Name> {
  const problems = [{ line: 0, key: '', reason: `${reason}, ignoring it`, hint: '' }];
  const values = valuesBy(rules, ({ initial, unknown = initial }) => unknown);
  return { values, problems, lines: new Map() };
}

/** Formats a problem: "/etc/immutafs/immutafs.conf:3: MODE: must be …" */
export function formatProblem(problem: ConfigProblem): string {
  return formatProblemIn(configFile, problem);
}

/** Like formatProblem, for another file. */
export function formatProblemIn(file: string, problem: ConfigProblem): string {
  return `${file}${problem.line > 0 ? `:${problem.line}` : ''}: ${problemText(problem)}`;
}

/** Formats a problem where the file is named already: "line 3: MODE: must be …" */
export function formatLine(problem: ConfigProblem): string {
  return `${problem.line > 0 ? `line ${problem.line}: ` : ''}${problemText(problem)}`;
}

function problemText({ key, reason, hint }: ConfigProblem): string {
  return `${key === '' ? '' : `${key}: `}${reason}${hint}`;
}

function valuesBy<Name extends string>(
  rules: Readonly<Record<Name, Rule>>,
  value: (rule: Rule) => string,
): Record<Name, string> {
  const entries = Object.entries<Rule>(rules).map(([key, rule]) => [key, value(rule)]);
  return Object.fromEntries(entries) as Record<Name, string>;
}

/** Removes spaces and tabs only, as sh does; String.trim would also remove a carriage return or a no-break space. */
function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

type Found = Pick<ConfigProblem, 'key' | 'reason'> & Meant;

interface Reading<Name extends string> {
  rules: Readonly<Record<Name, Rule>>;
  config: Record<Name, string>;
  lines: Map<string, number>;
  aids: Aids;
}

/** Sets the value of the key of a line in `config`, and its number in `lines`. */
function readLine<Name extends string>(
  line: string,
  number: number,
  { rules, config, lines, aids }: Reading<Name>,
): Found[] {
  if (line === '' || line.startsWith('#')) return [];
  // oxlint-disable-next-line no-control-regex -- the expression detects them
  if (/[\x00-\x1f\x7f]/.test(line)) {
    const { meant } = aids.line(line, rules);
    const reason = 'contains a control character, ignoring the line';
    return [{ key: '', reason, hint: '', ...(meant === undefined ? {} : { meant }) }];
  }
  const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
  if (key === undefined || value === undefined)
    return [{ key: '', reason: 'not KEY=value, ignoring the line', ...aids.line(line, rules) }];
  const isKnown = (name: string): name is Name => Object.hasOwn(rules, name);
  if (!isKnown(key))
    return [{ key, reason: 'unknown key, ignoring it', ...aids.key(key, Object.keys(rules)) }];
  const twice = { key, reason: 'given twice, the later line counts', hint: '' };
  const again = lines.has(key) ? [twice] : [];
  lines.set(key, number);
  const { used, problems } = valueOf(value, key, rules[key], aids);
  config[key] = used;
  return [...again, ...problems];
}

/** Returns the value that is used, and the problems with the one that is written. */
function valueOf(value: string, key: string, rule: Rule, aids: Aids): { used: string; problems: Found[] } {
  const { good, initial, wanted, strictest = initial } = rule;
  if (rule.goodItem !== undefined) return listOf(value, key, rule, rule.goodItem, aids);
  if (good(value)) return { used: aids.decode(value), problems: [] };
  const strict = typeof strictest === 'string' ? strictest : aids.decode(strictest(value));
  const used = value === '' ? initial : strict;
  const outcome = key.startsWith('FORWARD') ? 'the forwarder does not start' : `using ${used || 'nothing'}`;
  return {
    used,
    problems: [{ key, reason: `must be ${wanted}, ${outcome}`, hint: aids.value(value, rule) }],
  };
}

function listOf(
  value: string,
  key: string,
  rule: Rule,
  goodItem: (item: string) => boolean,
  aids: Aids,
): { used: string; problems: Found[] } {
  const items = words(value).map((item) => ({ item, used: goodItem(item) ? item : rule.repair?.(item) }));
  const problems = items
    .filter(({ item, used }) => used !== item)
    .map(({ item, used }) => {
      const shown = /^[!-~]+$/.test(item) ? item : 'an item';
      const outcome = used === undefined ? 'ignoring it' : `using ${used}`;
      return { key, reason: `${shown}: must be ${rule.wanted}, ${outcome}`, hint: aids.value(item, rule) };
    });
  return { used: items.flatMap(({ used }) => used ?? []).join(' '), problems };
}
