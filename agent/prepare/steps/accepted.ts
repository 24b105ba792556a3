import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { unlessHostError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Action } from '../engine/step.ts';

/**
 * The list of what an administrator has accepted: changes of the system disk (step `writes`), and state that a sealed boot
 * resets (step `state`). `prepare --accept` adds lines; the file may also be edited.
 */
export const acceptedFile = '/etc/immutafs/accepted-writes';

const heading = `# What \`immutafs-agent prepare\` does not report: a path with everything below it, which a sealed boot may reset or
# in which changes are accepted, or "until TIME" for changes of unknown origin up to a point in time.
`;

export interface Accepted {
  /** One character per byte (latin1). */
  paths: readonly string[];
  /** Seconds since the epoch; 0 if no point in time is accepted. */
  until: number;
  /** The numbers of the lines that are neither, beginning with 1. */
  invalid: readonly number[];
  /** The text of the file; null if there is no file. */
  text: string | null;
}

/** Reads the list. @throws HostError if the file exists and cannot be read */
export function readAccepted(reader: SystemReader): Accepted {
  const text = reader.readIfPresent(acceptedFile, 1024 * 1024);
  return text === undefined
    ? { paths: [], until: 0, invalid: [], text: null }
    : { ...parseAccepted(text), text };
}

export function parseAccepted(text: string): Omit<Accepted, 'text'> {
  const paths: string[] = [];
  const invalid: number[] = [];
  let until = 0;
  text.split('\n').forEach((raw, index) => {
    const line = raw.replace(/^[ \t]+|[ \t]+$/g, '');
    const time = /^until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z)$/.exec(line)?.[1];
    const seconds = time === undefined ? NaN : Date.parse(time) / 1000;
    if (line === '' || line.startsWith('#')) return;
    if (!Number.isNaN(seconds)) until = Math.max(until, seconds);
    else if (isPath(line)) paths.push(line);
    else invalid.push(index + 1);
  });
  return { paths, until, invalid };
}

/** Whether a text is a path that the list can hold: absolute, normalised, without control characters, and not /. */
export function isPath(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the expression detects them
  return /^(\/[^/\x00-\x1f\x7f]+)+$/.test(text) && !/\/\.\.?(\/|$)/.test(text) && !/[ \t]$/.test(text);
}

export function isAccepted({ paths }: Pick<Accepted, 'paths'>, path: string): boolean {
  return paths.some((each) => isBelow(path, each));
}

/**
 * Returns the change that adds entries to the list, with the time and the user who accepted them; none if the list
 * already contains them.
 * @param paths one character per byte (latin1)
 * @param until seconds since the epoch, replaces an earlier point in time
 */
export function planAcceptance(
  reader: SystemReader,
  before: Accepted,
  paths: readonly string[],
  until?: number,
): Action[] {
  const by = `# ${reader.now().toISOString()}, ${loginUser(reader)}:`;
  const after = withAccepted(before, by, paths, until);
  return after === undefined ? [] : [{ do: 'edit', file: acceptedFile, before: before.text, after }];
}

/** Returns the user who logged in, also behind sudo(8) (proc_pid_loginuid(5)); root if no login is recorded. */
function loginUser(reader: SystemReader): string {
  const uid = unlessHostError(() => reader.readIfPresent('/proc/self/loginuid', 64))?.trim() ?? '';
  const accounts = reader.readIfPresent('/etc/passwd', 1024 * 1024) ?? '';
  const account = accounts.split('\n').find((line) => line.split(':')[2] === uid);
  return account?.split(':')[0] ?? 'root';
}

/** @param by the line before the entries */
export function withAccepted(
  accepted: Accepted,
  by: string,
  paths: readonly string[],
  until: number | undefined,
): string | undefined {
  const added = [...new Set(paths)].filter((path) => !isAccepted(accepted, path));
  const isLater = until !== undefined && until > accepted.until;
  if (added.length === 0 && !isLater) return undefined;
  const before = accepted.text ?? heading;
  const kept = isLater ? before.replace(/(^# \S+, [^\n]*:\n)?^[ \t]*until .*\n?/gm, '') : before;
  const lines = [by, ...(isLater ? [`until ${new Date(until * 1000).toISOString()}`] : []), ...added];
  const separator = kept === '' || kept.endsWith('\n') ? '' : '\n';
  return `${kept}${separator}${lines.map((line) => `${line}\n`).join('')}`;
}
