import type { Host } from './host.ts';
import { HostError } from './errors.ts';

export const configFile = '/etc/immutafs/immutafs.conf';
const maximumBytes = 65536;

/** The values that count: from the file where they are good, else the defaults. */
export interface Config {
  MODE: string;
  VAR_SIZE: string;
  VAR_INODES: string;
  VAR_OPTIONS: string;
  ON_FAILURE: string;
  REQUIRE_READONLY: string;
  REQUIRE_OPTIONS: string;
  USAGE_WARN: string;
  USAGE_FAIL: string;
  FORWARD: string;
  FORWARD_CA: string;
  FORWARD_CERT: string;
  FORWARD_KEY: string;
  FORWARD_PEER: string;
}

export interface ConfigProblem {
  /** 1 for the file's first line; 0 where the file as a whole is meant. */
  line: number;
  key: string;
  reason: string;
}

export interface ReadConfig {
  config: Config;
  problems: ConfigProblem[];
}

/**
 * Reads `KEY=value` lines; `#` starts a comment line. Never throws: a bad line is a problem and the default
 * counts, as in dracut/immutafs-lib.sh, which reads the same file in the initramfs (test/fixtures/config
 * goes through both).
 * @param text one character a byte
 */
export function parseConfig(text: string): ReadConfig {
  const config = defaults();
  const problems: ConfigProblem[] = [];
  if (text.length > maximumBytes) {
    problems.push({ line: 0, key: '', reason: `larger than ${maximumBytes} bytes, ignoring it` });
    return { config, problems };
  }
  const seen = new Set<string>();
  text.split('\n').forEach((whole, index) => {
    const problem = readLine(trim(whole), config, seen);
    problems.push(...problem.map(({ key, reason }) => ({ line: index + 1, key, reason })));
  });
  return { config, problems };
}

/** The file's configuration; without a file, the defaults. */
export function readConfig(host: Host): ReadConfig {
  try {
    return parseConfig(host.read(configFile, 2 * maximumBytes));
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    if (error.code === 'ENOENT') return parseConfig('');
    if (error.code === 'EFBIG') return parseConfig(' '.repeat(maximumBytes + 1));
    const reason = `${error.message.slice(error.message.indexOf(': ') + 2)}, ignoring it`;
    return { config: defaults(), problems: [{ line: 0, key: '', reason }] };
  }
}

/** "/etc/immutafs/immutafs.conf:3: MODE: must be …" */
export function formatProblem({ line, key, reason }: ConfigProblem): string {
  return `${configFile}${line > 0 ? `:${line}` : ''}: ${key === '' ? '' : `${key}: `}${reason}`;
}

interface Key {
  initial: string;
  /** What is good, in words, for the problem's text. */
  wanted: string;
  good: (value: string) => boolean;
}

const absolutePath = (value: string) => value === '' || /^\/[^\0]*$/.test(value);
const percent = (value: string) => /^[1-9][0-9]?%$|^100%$/.test(value);
const forwardUrl =
  /^(relp|relp\+tls|syslog\+tcp|syslog\+tls|syslog\+udp|journal\+http|journal\+https):\/\/[^\s/]+\/?$/;
const mountOption = /^(nosuid|nodev|noexec|noatime|relatime)$/;
const number = /^[1-9][0-9]{0,8}$/;

const keys: Record<keyof Config, Key> = {
  MODE: { initial: 'auto', wanted: 'auto, sealed or off', good: (v) => /^(auto|sealed|off)$/.test(v) },
  VAR_SIZE: { initial: '25%', wanted: '1% to 100%, or a number with m or g', good: isSize },
  VAR_INODES: { initial: '200k', wanted: 'a number from 1000, k or m may follow', good: isInodes },
  VAR_OPTIONS: {
    initial: 'nosuid,nodev',
    wanted: 'of nosuid, nodev, noexec, noatime, relatime',
    good: (v) => v === '' || v.split(',').every((word) => mountOption.test(word)),
  },
  ON_FAILURE: {
    initial: 'degraded',
    wanted: 'degraded, emergency or poweroff',
    good: (v) => /^(degraded|emergency|poweroff)$/.test(v),
  },
  REQUIRE_READONLY: {
    initial: '/ /boot',
    wanted: 'absolute paths, a space between them',
    good: (v) => words(v).every((word) => word.startsWith('/')),
  },
  REQUIRE_OPTIONS: {
    initial: '/home:noexec,nosuid,nodev /tmp:noexec,nosuid,nodev',
    wanted: 'path:option,option with options of noexec, nosuid, nodev, ro, a space between them',
    good: (v) =>
      words(v).every((word) => /^\/[^:]*:(noexec|nosuid|nodev|ro)(,(noexec|nosuid|nodev|ro))*$/.test(word)),
  },
  USAGE_WARN: { initial: '80%', wanted: '1% to 100%', good: percent },
  USAGE_FAIL: { initial: '95%', wanted: '1% to 100%', good: percent },
  FORWARD: {
    initial: '',
    wanted:
      'relp://, relp+tls://, syslog+tcp://, syslog+tls://, syslog+udp://, journal+http:// or journal+https:// and host:port',
    good: (v) => words(v).every((word) => forwardUrl.test(word)),
  },
  FORWARD_CA: { initial: '', wanted: 'an absolute path', good: absolutePath },
  FORWARD_CERT: { initial: '', wanted: 'an absolute path', good: absolutePath },
  FORWARD_KEY: { initial: '', wanted: 'an absolute path', good: absolutePath },
  FORWARD_PEER: { initial: '', wanted: 'a name', good: (v) => !/\s/.test(v) },
};

function defaults(): Config {
  const entries = Object.entries(keys).map(([key, { initial }]) => [key, initial]);
  return Object.fromEntries(entries) as Config;
}

function isKey(name: string): name is keyof Config {
  return Object.hasOwn(keys, name);
}

/** Spaces and tabs only, as in sh; String.trim would take a carriage return or a no-break space too. */
function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** The words of a value that is a list. */
export function words(value: string): string[] {
  return value.split(/[ \t]+/).filter((word) => word !== '');
}

function readLine(line: string, config: Config, seen: Set<string>): { key: string; reason: string }[] {
  if (line === '' || line.startsWith('#')) return [];
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  if (/[\x00-\x1f\x7f]/.test(line)) return [{ key: '', reason: 'a control character, ignoring the line' }];
  const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
  if (key === undefined || value === undefined)
    return [{ key: '', reason: 'not KEY=value, ignoring the line' }];
  if (!isKey(key)) return [{ key, reason: 'unknown key, ignoring it' }];
  const problems = seen.has(key) ? [{ key, reason: 'given twice, the later line counts' }] : [];
  seen.add(key);
  const { good, initial, wanted } = keys[key];
  config[key] = good(value) ? value : initial;
  if (!good(value))
    problems.push({ key, reason: `must be ${wanted}, using ${initial === '' ? 'nothing' : initial}` });
  return problems;
}

/** tmpfs(5) size=; a unit is asked for, since a forgotten one would mean bytes. */
function isSize(value: string): boolean {
  return percent(value) || (/[mMgG]$/.test(value) && number.test(value.slice(0, -1)));
}

/** tmpfs(5) nr_inodes= */
function isInodes(value: string): boolean {
  return /[kKmM]$/.test(value)
    ? number.test(value.slice(0, -1))
    : number.test(value) && Number(value) >= 1000;
}
