import type { SystemReader } from '../../system/reader.ts';
import { textIfThere } from '../engine/snapshot.ts';

const unit = '/etc/systemd/system/tmp.mount';

export interface TmpUnits {
  /** The unit of the administrator that mounts /tmp as it must be. */
  serving: string | undefined;
  /** What wins over fstab's line and is wrong; the reason goes on after "and". */
  rivals: { file: string; reason: string }[];
}

/**
 * What below /etc/systemd/system says how /tmp is mounted. It wins over what systemd makes of fstab, which wins over
 * the distribution's tmp.mount (systemd.unit(5), "Unit File Load Path").
 * @param required options
 */
export function findTmpUnits(reader: SystemReader, required: readonly string[]): TmpUnits {
  const files = [unit, ...dropins(reader)];
  const found = files.flatMap((file) => {
    const text = textOf(reader, file);
    return text === undefined ? [] : [{ file, text, isLink: reader.stat(file)?.kind === 'link' }];
  });
  const rivals = found.flatMap(({ file, text, isLink }) => {
    const reason = wrongIn(text, required, file === unit, isLink);
    return reason === undefined ? [] : [{ file, reason }];
  });
  const own = found.find(({ file }) => file === unit);
  const serving = own !== undefined && rivals.length === 0 ? unit : undefined;
  return { serving, rivals };
}

function wrongIn(
  text: string,
  required: readonly string[],
  isUnit: boolean,
  isLink: boolean,
): string | undefined {
  if (isUnit && isLink && text === '') return 'lets nothing be mounted (masked)';
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

/** A link to /dev/null is empty. */
function textOf(reader: SystemReader, file: string): string | undefined {
  if (reader.stat(file)?.kind === 'link' && reader.link(file) === '/dev/null') return '';
  return textIfThere(reader, file);
}
