import path from 'node:path';
import type { SystemReader } from '../system/reader.ts';
import { type Config, keys, words } from './keys.ts';
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

export interface ReadConfig {
  config: Config;
  problems: ConfigProblem[];
}

/**
 * Parses `KEY=value` lines; `#` starts a comment line. Never throws. If a line is invalid, a problem is returned and
 * the default is used. dracut/config.sh reads the same file in the initramfs in the same way (both are tested with
 * test/fixtures/config).
 * @param text one character per byte (latin1)
 */
export function parseConfig(text: string): ReadConfig {
  const config = defaults();
  const problems: ConfigProblem[] = [];
  if (text.length > maximumBytes) {
    problems.push({ line: 0, key: '', reason: `larger than ${maximumBytes} bytes, ignoring it` });
    return { config, problems };
  }
  const seen = new Set<string>();
  text.split('\n').forEach((line, index) => {
    const found = readLine(trim(line), config, seen);
    problems.push(...found.map(({ key, reason }) => ({ line: index + 1, key, reason })));
  });
  return { config, problems };
}

/** Reads the configuration file. Returns the defaults if the file does not exist. */
export function readConfig(reader: SystemReader): ReadConfig {
  try {
    const text = reader.readIfPresent(configFile, 2 * maximumBytes);
    if (text !== undefined) return parseConfig(text);
    // The path exists but leads to no file, so it is a dangling symbolic link.
    if (reader.stat(configFile) !== undefined) return unreadable('no such file or directory');
    const directory = path.dirname(configFile);
    const found = reader.stat(directory)?.kind;
    // A dangling symbolic link cannot be resolved.
    const kind = found === 'link' ? reader.stat(reader.resolve(directory))?.kind : found;
    return kind === undefined || kind === 'directory' ? parseConfig('') : unreadable('not a directory');
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === 'EFBIG') return parseConfig(' '.repeat(maximumBytes + 1));
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

function unreadable(reason: string): ReadConfig {
  return { config: defaults(), problems: [{ line: 0, key: '', reason: `${reason}, ignoring it` }] };
}

/**
 * Returns the texts of the problems that prevent the forwarder from starting. An invalid line may contain a TLS key,
 * and the default of a TLS key would trust more servers than the intended value.
 */
export function forwardProblems(problems: readonly ConfigProblem[]): string[] {
  return problems.filter(({ key }) => !isKey(key) || key.startsWith('FORWARD')).map(formatProblem);
}

/** Formats a problem: "/etc/immutafs/immutafs.conf:3: MODE: must be …" */
export function formatProblem({ line, key, reason }: ConfigProblem): string {
  return `${configFile}${line > 0 ? `:${line}` : ''}: ${key === '' ? '' : `${key}: `}${reason}`;
}

function defaults(): Config {
  const entries = Object.entries(keys).map(([key, { initial }]) => [key, initial]);
  return Object.fromEntries(entries) as Config;
}

function isKey(name: string): name is keyof Config {
  return Object.hasOwn(keys, name);
}

/** Removes spaces and tabs only, as sh does; String.trim would also remove a carriage return or a no-break space. */
function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

function readLine(line: string, config: Config, seen: Set<string>): { key: string; reason: string }[] {
  if (line === '' || line.startsWith('#')) return [];
  // oxlint-disable-next-line no-control-regex -- the expression detects them
  if (/[\x00-\x1f\x7f]/.test(line))
    return [{ key: '', reason: 'contains a control character, ignoring the line' }];
  const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
  if (key === undefined || value === undefined)
    return [{ key: '', reason: 'not KEY=value, ignoring the line' }];
  if (!isKey(key)) return [{ key, reason: 'unknown key, ignoring it' }];
  const problems = seen.has(key) ? [{ key, reason: 'given twice, the later line counts' }] : [];
  seen.add(key);
  const { good, initial, wanted, goodItem } = keys[key];
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
