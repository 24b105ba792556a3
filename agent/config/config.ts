import path from 'node:path';
import type { SystemReader } from '../system/reader.ts';
import { type Config, type Key, keys, words } from './keys.ts';
import { SystemError, UsageError } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';

export { type Config, isFingerprint, words } from './keys.ts';

export const configFile = '/etc/immutafs/immutafs.conf';
const maximumBytes = 65536;

export interface ConfigProblem {
  /** The number of the line, beginning with 1; 0 for the whole file. */
  line: number;
  key: string;
  reason: string;
}

interface ReadConfig {
  config: Config;
  problems: ConfigProblem[];
}

/**
 * Parses `KEY=value` lines; `#` starts a comment line. Never throws. If a line is invalid, a problem is returned and
 * the default is used. boot/config.sh reads the same file in the initramfs in the same way (both are tested with
 * test/fixtures/config).
 * @param text one character per byte (latin1)
 */
export function parseConfig(text: string): ReadConfig {
  const { values, problems } = parseLines(text, keys);
  return { config: values, problems };
}

/** What the parser needs to know about a key. */
export type Rule = Pick<Key, 'initial' | 'wanted' | 'good' | 'goodItem'>;

interface Lines<Name extends string> {
  values: Record<Name, string>;
  problems: ConfigProblem[];
}

/** Parses a file of `KEY=value` lines like parseConfig. @param rules the keys of the file */
function parseLines<Name extends string>(text: string, rules: Readonly<Record<Name, Rule>>): Lines<Name> {
  const values = defaultsOf(rules);
  const problems: ConfigProblem[] = [];
  if (text.length > maximumBytes) {
    problems.push({ line: 0, key: '', reason: `larger than ${maximumBytes} bytes, ignoring it` });
    return { values, problems };
  }
  const seen = new Set<string>();
  text.split('\n').forEach((line, index) => {
    const found = readLine(trim(line), rules, values, seen);
    problems.push(...found.map(({ key, reason }) => ({ line: index + 1, key, reason })));
  });
  return { values, problems };
}

/** Reads the configuration file. Returns the defaults if the file does not exist. */
export function readConfig(reader: SystemReader): ReadConfig {
  const { values, problems } = readLines(reader, configFile, keys);
  return { config: values, problems };
}

/** Reads a file of `KEY=value` lines. Returns the defaults if the file does not exist. Never throws. */
export function readLines<Name extends string>(
  reader: SystemReader,
  file: string,
  rules: Readonly<Record<Name, Rule>>,
): Lines<Name> {
  const parse = (text: string) => parseLines(text, rules);
  const unreadable = (reason: string): Lines<Name> => ({
    values: defaultsOf(rules),
    problems: [{ line: 0, key: '', reason: `${reason}, ignoring it` }],
  });
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
  const ignored = problems.find(({ line }) => line === 0);
  if (ignored !== undefined) {
    throw new UsageError(`${configFile}: ${ignored.reason.replace(/, ignoring it$/, '')}: correct it first`);
  }
  return config;
}

/**
 * Returns the texts of the problems that prevent the forwarder from starting. An invalid line may contain a TLS key,
 * and the default of a TLS key would trust more servers than the intended value.
 */
export function forwardProblems(problems: readonly ConfigProblem[]): string[] {
  return problems.filter(({ key }) => !isKey(key) || key.startsWith('FORWARD')).map(formatProblem);
}

/** Formats a problem: "/etc/immutafs/immutafs.conf:3: MODE: must be …" */
export function formatProblem(problem: ConfigProblem): string {
  return formatProblemIn(configFile, problem);
}

/** Like formatProblem, for another file. */
export function formatProblemIn(file: string, { line, key, reason }: ConfigProblem): string {
  return `${file}${line > 0 ? `:${line}` : ''}: ${key === '' ? '' : `${key}: `}${reason}`;
}

function defaultsOf<Name extends string>(rules: Readonly<Record<Name, Rule>>): Record<Name, string> {
  const entries = Object.entries<Rule>(rules).map(([key, { initial }]) => [key, initial]);
  return Object.fromEntries(entries) as Record<Name, string>;
}

function isKey(name: string): name is keyof Config {
  return Object.hasOwn(keys, name);
}

/** Removes spaces and tabs only, as sh does; String.trim would also remove a carriage return or a no-break space. */
function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

function readLine<Name extends string>(
  line: string,
  rules: Readonly<Record<Name, Rule>>,
  config: Record<Name, string>,
  seen: Set<string>,
): { key: string; reason: string }[] {
  if (line === '' || line.startsWith('#')) return [];
  // oxlint-disable-next-line no-control-regex -- the expression detects them
  if (/[\x00-\x1f\x7f]/.test(line))
    return [{ key: '', reason: 'contains a control character, ignoring the line' }];
  const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
  if (key === undefined || value === undefined)
    return [{ key: '', reason: 'not KEY=value, ignoring the line' }];
  const isKnown = (name: string): name is Name => Object.hasOwn(rules, name);
  if (!isKnown(key)) return [{ key, reason: 'unknown key, ignoring it' }];
  const problems = seen.has(key) ? [{ key, reason: 'given twice, the later line counts' }] : [];
  seen.add(key);
  const { good, initial, wanted, goodItem } = rules[key];
  if (goodItem !== undefined) {
    const items = words(value);
    config[key] = items.filter(goodItem).join(' ');
    const bad = items
      .filter((item) => !goodItem(item))
      .map((item) => (/^[!-~]+$/.test(item) ? item : 'an item'));
    return [...problems, ...bad.map((item) => ({ key, reason: `${item}: must be ${wanted}, ignoring it` }))];
  }
  config[key] = good(value) ? decodeBytes(value) : initial;
  if (!good(value)) problems.push({ key, reason: `must be ${wanted}, ${instead(key, initial)}` });
  return problems;
}

function instead(key: string, initial: string): string {
  if (key.startsWith('FORWARD')) return 'the forwarder does not start';
  return `using ${initial === '' ? 'nothing' : initial}`;
}
