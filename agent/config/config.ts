import path from 'node:path';
import type { SystemReader } from '../system/reader.ts';
import type { Rule } from './boot-keys.ts';
import { type Config, keys } from './keys.ts';
import {
  type Aids,
  type ConfigProblem,
  type Lines,
  configFile,
  ignored,
  maximumBytes,
  parseLines,
} from './parse.ts';
import { SystemError, UsageError } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import { suggestKey, suggestLine, suggestValue } from './suggestions.ts';

export { type Config, isFingerprint, words } from './keys.ts';
export { type ConfigProblem, configFile, formatLine, formatProblem, formatProblemIn } from './parse.ts';

/** Only the agent decodes values and says what may have been meant. */
const aids: Aids = { decode: decodeBytes, key: suggestKey, line: suggestLine, value: suggestValue };

interface ReadConfig {
  config: Config;
  problems: ConfigProblem[];
}

/**
 * Parses `KEY=value` lines; `#` starts a comment line. Never throws. If a value is invalid, a problem is returned and the
 * default is used, or the strictest value if the default may be less strict than what was meant. The boot reads the same file
 * with the same parser (boot/guest/config.ts).
 * @param text one character per byte (latin1)
 */
export function parseConfig(text: string): ReadConfig {
  return compareLimits(parseLines(text, keys, aids));
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
  const parse = (text: string) => parseLines(text, rules, aids);
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
