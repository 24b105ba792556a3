import { unlessSystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

const defaultFile = '/var/log/audit/audit.log';
/** The link that systemd creates while the socket is active (since systemd 235). RHEL 7 does not have this socket. */
const journalSocket = '/run/systemd/units/invocation:systemd-journald-audit.socket';

/** Returns where auditd(8) writes the audit trail; undefined if auditd does not run. @throws SystemError */
export function findAuditTrail(reader: SystemReader) {
  if (!isAuditdRunning(reader)) return undefined;
  const { values } = parseAuditdConf(reader.readIfPresent(auditdConf, 1024 * 1024) ?? '');
  const is = (key: string, value: string) => values.get(key)?.toLowerCase() === value;
  const writes = !is('write_logs', 'no') && !is('log_format', 'nolog');
  return {
    /** The value of log_file; undefined if auditd writes no file. */
    file: writes ? (values.get('log_file') ?? defaultFile) : undefined,
    /** Whether journald receives the audit trail as well. */
    inJournal: reader.stat(journalSocket) !== undefined,
  };
}

/** Returns the log file of auditd, whether it runs or not. An unprivileged user may not be able to read the setting. */
export function auditLogFile(reader: SystemReader): string {
  const text = unlessSystemError(() => reader.readIfPresent(auditdConf, 1024 * 1024)) ?? '';
  return parseAuditdConf(text).values.get('log_file') ?? defaultFile;
}

/** Whether auditd runs. Only root can write the file with its process ID; the file of a crashed auditd is outdated. */
export function isAuditdRunning(reader: SystemReader): boolean {
  const pid = reader.readIfPresent('/run/auditd.pid', 64)?.trim() ?? '';
  return /^[1-9]\d{0,9}$/.test(pid) && reader.readIfPresent(`/proc/${pid}/comm`, 64)?.trim() === 'auditd';
}

export const auditdConf = '/etc/audit/auditd.conf';

/**
 * The longest line that auditd reads, without its newline: its buffer has 160 bytes. auditd ignores a longer line.
 */
const longest = 158;

/** The keys whose value may be followed by a program. */
const actions = ['space_left_action', 'admin_space_left_action', 'disk_full_action', 'disk_error_action'];

const numeric: Record<string, RegExp> = {
  max_log_file: /^\d+$/,
  num_logs: /^\d+$/,
  space_left: /^\d+%?$/,
  admin_space_left: /^\d+%?$/,
};

/**
 * Parses auditd.conf(5) as auditd does (auditd-config.c). auditd splits a line at spaces only: "key=value", a tab or a
 * carriage return is an error, at which auditd does not start.
 * @param text one character per byte
 */
export function parseAuditdConf(text: string) {
  const values = new Map<string, string>();
  const faults: string[] = [];
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    const setting = settingOf(line);
    const fault = faultOf(line, setting, index === lines.length - 1);
    if (fault !== undefined) faults.push(`line ${index + 1} ${fault}`);
    else if (setting !== undefined) values.set(setting.key, setting.words.join(' '));
  }
  const more = faults.length - 3;
  return {
    /**
     * The values by key, the key in lower case. If several lines have the same key, the last one counts, as for auditd.
     */
    values,
    /** The reasons why auditd would ignore a line or not start, one clause each. */
    problems: [
      ...faults.slice(0, 3),
      ...(more > 0 ? [`${more} further lines have similar errors`] : []),
      ...disorder(values),
    ],
  };
}

/**
 * Returns the text with a setting changed, and every other byte unchanged. The last line with the key is changed,
 * because it is the one that counts; without such a line, a line is appended.
 */
export function withSetting(text: string, key: string, value: string): string {
  const lines = text.split('\n');
  const index = lines.findLastIndex((line) => settingOf(line)?.key === key);
  const line = lines[index];
  if (line === undefined) {
    return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${key} = ${value}\n`;
  }
  const changed = line.replace(/^( *[^ ]+ += +)[^ ]+/, (_, before: string) => `${before}${value}`);
  return lines.with(index, changed).join('\n');
}

interface Setting {
  key: string;
  /** The words after the key and the "="; empty if there is no "=". */
  words: string[];
}

/** Returns the key and the value of a line; undefined for a comment, an empty line and a line that is too long. */
function settingOf(line: string): Setting | undefined {
  const [key = '#', equals, ...words] = line.split(' ').filter((word) => word !== '');
  if (key.startsWith('#') || line.length > longest) return undefined;
  return { key: key.toLowerCase(), words: equals === '=' ? words : [] };
}

/** Returns the reason why auditd cannot read a line, as a predicate; undefined if it can. */
function faultOf(line: string, setting: Setting | undefined, isLast: boolean): string | undefined {
  if (line.includes('\0')) return 'contains a NUL';
  if (setting === undefined) return undefined;
  const { key, words } = setting;
  if (line.endsWith('\r')) return 'ends with a carriage return';
  if (/[^ -~\x80-\xff]/.test(line)) return 'contains a tab or a control character';
  if (words.length === 0) return 'is not "key = value" with spaces around "="';
  if (words.length > 1 && !actions.includes(key)) return 'has more than one value';
  if (numeric[key]?.test(words[0] ?? '') === false) return `needs a number for ${key}`;
  return isLast ? 'has no newline at its end, so that auditd ignores it' : undefined;
}

/** Reports limits in the wrong order, with which auditd does not start (sanity_check in auditd-config.c). */
function disorder(values: ReadonlyMap<string, string>): string[] {
  const [left = '', admin = ''] = [values.get('space_left'), values.get('admin_space_left')];
  if (left === '' || admin === '' || left.endsWith('%') !== admin.endsWith('%')) return [];
  return parseInt(left, 10) > parseInt(admin, 10) ? [] : ['space_left is not larger than admin_space_left'];
}
