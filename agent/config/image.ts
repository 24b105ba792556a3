import type { SystemReader } from '../system/reader.ts';
import { formatProblemIn, readLines } from './config.ts';
import type { Rule } from './boot-keys.ts';

/** Names the image from which this guest was started. The build writes it (prepare --image), or an administrator. */
export const imageFile = '/etc/immutafs/image';

export interface Image {
  name: string;
  version: string;
  /** The time of the build as the file has it (RFC 3339). */
  built: string;
}

interface ReadImage {
  /** Undefined if there is no file, or if it lacks a valid value. */
  image: Image | undefined;
  /** What is wrong with the file: "/etc/immutafs/image:2: VERSION: must be …". */
  problems: string[];
}

/** What a name or a version can be, which are labels of metrics and parts of file names. */
export const isImageWord = (text: string) => /^[A-Za-z0-9][A-Za-z0-9._+~:-]{0,127}$/.test(text);
export const wantedWord = 'at most 128 letters, digits and . _ + ~ : -, and begin with a letter or a digit';

/** The keys of the file. */
const keys: Record<'NAME' | 'VERSION' | 'BUILT', Rule> = {
  NAME: { initial: '', wanted: wantedWord, good: isImageWord },
  VERSION: { initial: '', wanted: wantedWord, good: isImageWord },
  BUILT: { initial: '', wanted: 'a time such as 2026-03-04T05:06:07Z (RFC 3339)', good: isTime },
};

/** Reads the file. Never throws. */
export function readImage(reader: SystemReader): ReadImage {
  const { values, problems } = readLines(reader, imageFile, keys);
  const { NAME: name, VERSION: version, BUILT: built } = values;
  const found = problems.map((problem) => formatProblemIn(imageFile, problem));
  const missing = Object.entries(values)
    .filter(([key, value]) => value === '' && !problems.some((problem) => problem.key === key))
    .map(([key]) => key);
  if (missing.length === 0 && name !== '' && version !== '' && built !== '')
    return { image: { name, version, built }, problems: found };
  // A file that cannot be read has been reported.
  const isWhole = problems.some(({ line }) => line === 0);
  if (missing.length > 0 && !isWhole && reader.stat(imageFile) !== undefined)
    found.push(`${imageFile}: has no ${missing.join(', ')}`);
  return { image: undefined, problems: found };
}

/** Returns the text of a file. */
export function imageText({ name, version, built }: Image): string {
  return `NAME=${name}\nVERSION=${version}\nBUILT=${built}\n`;
}

/** Whether a text is a time of RFC 3339 that exists: with a time zone, and no 31st of February. */
function isTime(text: string): boolean {
  const found = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-](\d\d):(\d\d))$/.exec(
    text,
  );
  if (found === null) return false;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found.slice(1, 7).map(Number);
  const date = new Date(Date.UTC(year, month - 1, day));
  const isDate =
    date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  const isZone = Number(found[9] ?? 0) < 24 && Number(found[10] ?? 0) < 60;
  return isDate && hour < 24 && minute < 60 && second < 61 && isZone;
}
