import path from 'node:path';
import type { SystemReader } from '../system/reader.ts';
import { type Config, type Rule, keys, words } from './keys.ts';
import { SystemError, UsageError } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import { type Meant, suggestKey, suggestLine, suggestValue } from './suggestions.ts';

export { type Config, isFingerprint, words } from './keys.ts';

export const configFile = '/etc/immutafs/immutafs.conf';
const maximumBytes = 65536;

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

interface ReadConfig {
  config: Config;
  problems: ConfigProblem[];
}

/**
 * Parses `KEY=value` lines; `#` starts a comment line. Never throws. If a value is invalid, a problem is returned and the
 * default is used, or the strictest value if the default may be less strict than what was meant. boot/config.sh reads the same file in the initramfs in the same way (both are tested with
 * test/fixtures/config).
 * @param text one character per byte (latin1)
 */
export function parseConfig(text: string): ReadConfig {
  return compareLimits(parseLines(text, keys));
}

/** With USAGE_WARN above USAGE_FAIL, the check would never warn. */
function compareLimits({ values, problems, lines }: Lines<keyof Config>): ReadConfig {
  const { USAGE_WARN: warn, USAGE_FAIL: fail } = values;
  if (parseInt(warn, 10) <= parseInt(fail, 10)) return { config: values, problems };
  const config = { ...values, USAGE_WARN: fail };
  // An invalid value has been reported.
  const isReported = problems.some(({ key, reason }) => key === 'USAGE_FAIL' && reason.startsWith('must be'));
  if (isReported) return { config, problems };
  const line = Math.max(lines.get('USAGE_WARN') ?? 0, lines.get('USAGE_FAIL') ?? 0);
  const reason = `${warn} is above USAGE_FAIL (${fail}), using ${fail}`;
  return { config, problems: [...problems, { line, key: 'USAGE_WARN', reason, hint: '' }] };
}

interface Lines<Name extends string> {
  values: Record<Name, string>;
  problems: ConfigProblem[];
  /** The number of the line that counts, for each key that the file has. */
  lines: Map<string, number>;
}

/** Parses a file of `KEY=value` lines like parseConfig. @param rules the keys of the file */
function parseLines<Name extends string>(text: string, rules: Readonly<Record<Name, Rule>>): Lines<Name> {
  const values = defaultsOf(rules);
  const lines = new Map<string, number>();
  if (text.length > maximumBytes) return ignored(rules, `larger than ${maximumBytes} bytes`);
  const problems = text.split('\n').flatMap((line, index) => {
    const found = readLine(trim(line), index + 1, rules, values, lines);
    return found.map((problem) => ({ line: index + 1, ...problem }));
  });
  return { values, problems, lines };
}

/** The result for a file that cannot be used. */
function ignored<Name extends string>(rules: Readonly<Record<Name, Rule>>, reason: string): Lines<Name> {
  const problems = [{ line: 0, key: '', reason: `${reason}, ignoring it`, hint: '' }];
  return { values: defaultsOf(rules), problems, lines: new Map() };
}

/** Reads the configuration file. Returns the defaults if the file does not exist. */
export function readConfig(reader: SystemReader): ReadConfig {
  return compareLimits(readLines(reader, configFile, keys));
}

/** Reads a file of `KEY=value` lines. Returns the defaults if the file does not exist. Never throws. */
export function readLines<Name extends string>(
  reader: SystemReader,
  file: string,
  rules: Readonly<Record<Name, Rule>>,
): Lines<Name> {
  const parse = (text: string) => parseLines(text, rules);
  const unreadable = (reason: string) => ignored(rules, reason);
  try {
    const text = reader.readIfPresent(file, 2 * maximumBytes);
    if (text !== undefined) return parse(text);
    // The path exists but leads to no file, so it is a dangling symbolic link.
    if (reader.stat(file) !== undefined) return unreadable('no such file or directory');
    const directory = path.dirname(file);
    const found = reader.stat(directory)?.kind;
    // A dangling symbolic link cannot be resolved.
    const kind = found === 'link' ? reader.stat(reader.resolve(directory))?.kind : found;
    return kind === undefined || kind === 'directory' ? parse('') : unreadable('not a directory');
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === 'EFBIG') return parse(' '.repeat(maximumBytes + 1));
    return unreadable(error.message.slice(error.message.indexOf(': ') + 2));
  }
}

/**
 * Returns the configuration, for a command that must not act on the defaults instead of what an administrator wrote.
 * @throws UsageError if the file exists and cannot be read, or is too large
 */
export function requireConfig(reader: SystemReader): Config {
  const { config, problems } = readConfig(reader);
  const whole = problems.find(({ line }) => line === 0);
  if (whole !== undefined) {
    throw new UsageError(`${configFile}: ${whole.reason.replace(/, ignoring it$/, '')}: correct it first`);
  }
  return config;
}

/**
 * Returns the problems that prevent the forwarder from starting: those with its own keys, with a line that may have been
 * meant for one of them, and with the whole file. The default of a TLS key would trust more servers than the intended value.
 */
export function forwardProblems(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return problems.filter(({ line, key, meant }) => line === 0 || (meant ?? key).startsWith('FORWARD'));
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

function defaultsOf<Name extends string>(rules: Readonly<Record<Name, Rule>>): Record<Name, string> {
  const entries = Object.entries<Rule>(rules).map(([key, { initial }]) => [key, initial]);
  return Object.fromEntries(entries) as Record<Name, string>;
}

/** Removes spaces and tabs only, as sh does; String.trim would also remove a carriage return or a no-break space. */
function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

type Found = Pick<ConfigProblem, 'key' | 'reason'> & Meant;

/** Sets the value of the key of a line in `config`, and its number in `lines`. */
function readLine<Name extends string>(
  line: string,
  number: number,
  rules: Readonly<Record<Name, Rule>>,
  config: Record<Name, string>,
  lines: Map<string, number>,
): Found[] {
  if (line === '' || line.startsWith('#')) return [];
  // oxlint-disable-next-line no-control-regex -- the expression detects them
  if (/[\x00-\x1f\x7f]/.test(line)) {
    const { meant } = suggestLine(line, rules);
    const reason = 'contains a control character, ignoring the line';
    return [{ key: '', reason, hint: '', ...(meant === undefined ? {} : { meant }) }];
  }
  const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
  if (key === undefined || value === undefined)
    return [{ key: '', reason: 'not KEY=value, ignoring the line', ...suggestLine(line, rules) }];
  const isKnown = (name: string): name is Name => Object.hasOwn(rules, name);
  if (!isKnown(key))
    return [{ key, reason: 'unknown key, ignoring it', ...suggestKey(key, Object.keys(rules)) }];
  const twice = { key, reason: 'given twice, the later line counts', hint: '' };
  const again = lines.has(key) ? [twice] : [];
  lines.set(key, number);
  const { used, problems } = valueOf(value, key, rules[key]);
  config[key] = used;
  return [...again, ...problems];
}

/** Returns the value that is used, and the problems with the one that is written. */
function valueOf(value: string, key: string, rule: Rule): { used: string; problems: Found[] } {
  const { good, initial, wanted, strictest = initial } = rule;
  if (rule.goodItem !== undefined) return listOf(value, key, rule, rule.goodItem);
  if (good(value)) return { used: decodeBytes(value), problems: [] };
  const strict = typeof strictest === 'string' ? strictest : decodeBytes(strictest(value));
  const used = value === '' ? initial : strict;
  const outcome = key.startsWith('FORWARD') ? 'the forwarder does not start' : `using ${used || 'nothing'}`;
  return {
    used,
    problems: [{ key, reason: `must be ${wanted}, ${outcome}`, hint: suggestValue(value, rule) }],
  };
}

function listOf(
  value: string,
  key: string,
  rule: Rule,
  goodItem: (item: string) => boolean,
): { used: string; problems: Found[] } {
  const items = words(value).map((item) => ({ item, used: goodItem(item) ? item : rule.repair?.(item) }));
  const problems = items
    .filter(({ item, used }) => used !== item)
    .map(({ item, used }) => {
      const shown = /^[!-~]+$/.test(item) ? item : 'an item';
      const outcome = used === undefined ? 'ignoring it' : `using ${used}`;
      return { key, reason: `${shown}: must be ${rule.wanted}, ${outcome}`, hint: suggestValue(item, rule) };
    });
  return { used: items.flatMap(({ used }) => used ?? []).join(' '), problems };
}
