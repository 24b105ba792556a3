import type { SystemReader } from '../../system/reader.ts';

const unit = '/etc/systemd/system/tmp.mount';

interface TmpUnits {
  /** The administrator's tmp.mount, if it mounts a tmpfs on /tmp with the required options. */
  serving: string | undefined;
  /** Files that override fstab and do not mount /tmp as required, with the reason as the predicate of a sentence. */
  overriding: { file: string; reason: string }[];
}

/**
 * Finds tmp.mount and its drop-ins below /etc/systemd/system. They override the unit that systemd generates from fstab,
 * which overrides the distribution's tmp.mount (systemd.unit(5), "Unit File Load Path").
 * @param required mount options
 */
export function findTmpUnits(reader: SystemReader, required: readonly string[]): TmpUnits {
  const files = [unit, ...dropins(reader)];
  const found = files.flatMap((file) => {
    const text = textOf(reader, file);
    return text === undefined ? [] : [{ file, text, isLink: reader.stat(file)?.kind === 'link' }];
  });
  const overriding = found.flatMap(({ file, text, isLink }) => {
    const reason = wrongIn(text, required, file === unit, isLink);
    return reason === undefined ? [] : [{ file, reason }];
  });
  const own = found.find(({ file }) => file === unit);
  const serving = own !== undefined && overriding.length === 0 ? unit : undefined;
  return { serving, overriding };
}

function wrongIn(
  text: string,
  required: readonly string[],
  isUnit: boolean,
  isLink: boolean,
): string | undefined {
  if (isUnit && isLink && text === '') return 'masks tmp.mount';
  const type = lastValue(text, 'Type');
  if (type !== undefined ? type !== 'tmpfs' : isUnit) return 'mounts no tmpfs';
  const options = lastValue(text, 'Options')?.split(',');
  if (options === undefined && !isUnit) return undefined;
  const lacking = required.filter((option) => options?.includes(option) !== true);
  return lacking.length === 0 ? undefined : `mounts /tmp without ${lacking.join(',')}`;
}

function lastValue(text: string, key: string): string | undefined {
  const lines = text.split('\n').map((line) => /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line));
  return lines.findLast((found) => found?.[1] === key)?.[2];
}

function dropins(reader: SystemReader): string[] {
  const folder = `${unit}.d`;
  if (reader.stat(folder)?.kind !== 'directory') return [];
  return reader
    .list(folder)
    .filter((name) => name.endsWith('.conf'))
    .map((name) => `${folder}/${name}`);
}

/** Reads a unit file. @returns an empty text for a link to /dev/null; undefined if there is no file */
function textOf(reader: SystemReader, file: string): string | undefined {
  if (reader.stat(file)?.kind === 'link' && reader.link(file) === '/dev/null') return '';
  return reader.readIfPresent(file);
}
