import type { SystemReader } from '../system/reader.ts';

/**
 * The list of what an administrator has accepted: changes of the system disk (step `writes`), and state that a sealed boot
 * resets (step `state`). `prepare --accept` adds lines; the file may also be edited.
 */
export const acceptedFile = '/etc/immutafs/accepted-writes';

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

/** Reads the list. @throws SystemError if the file exists and cannot be read */
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
  return paths.some((each) => path === each || path.startsWith(`${each}/`));
}
