import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../../system/reader.ts';

/** The list of the changes that an administrator has accepted. `prepare --accept` adds lines; it may also be edited. */
export const acceptedFile = '/etc/immutafs/accepted-writes';

const heading = `# Changes of the system disk that the step \`writes\` of \`immutafs-agent prepare\` does not report:
# a path with everything below it, or "until TIME" for changes of unknown origin up to a point in time.
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
 * Returns the text of the list with further entries; undefined if it already contains them.
 * @param paths one character per byte (latin1)
 * @param until seconds since the epoch, replaces an earlier point in time
 */
export function withAccepted(
  accepted: Accepted,
  paths: readonly string[],
  until: number | undefined,
): string | undefined {
  const added = [...new Set(paths)].filter((path) => !isAccepted(accepted, path));
  const isLater = until !== undefined && until > accepted.until;
  if (added.length === 0 && !isLater) return undefined;
  const before = accepted.text ?? heading;
  const kept = isLater ? before.replace(/^[ \t]*until .*\n?/gm, '') : before;
  const lines = isLater ? [`until ${new Date(until * 1000).toISOString()}`, ...added] : added;
  const separator = kept === '' || kept.endsWith('\n') ? '' : '\n';
  return `${kept}${separator}${lines.map((line) => `${line}\n`).join('')}`;
}
