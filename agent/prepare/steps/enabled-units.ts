import { unlessSystemError } from '../../lib/errors.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';

const directory = '/etc/systemd/system';
/** Where unit files are; the first one that is found counts. */
const unitDirectories: readonly string[] = [directory, '/usr/lib/systemd/system', '/lib/systemd/system'];
/** No unit file of a distribution comes near this size, in bytes. */
const fileLimit = 65536;

/** Whether a unit is enabled, that is, linked in a .wants or .requires folder (systemctl(1), enable). */
export function isEnabled(reader: SystemReader, unit: string): boolean {
  return enabledUnits(reader).has(unit);
}

/** Returns the names of the enabled units. */
export function enabledUnits(reader: SystemReader): Set<string> {
  const folders = namesIfThere(reader, directory).filter((name) => /\.(wants|requires)$/.test(name));
  return new Set(folders.flatMap((name) => namesIfThere(reader, `${directory}/${name}`)));
}

/**
 * Whether a unit file exists, is not masked, and its conditions on files hold (systemd.unit(5)): of those with a pipe
 * symbol, one is enough. Other conditions count as met.
 */
export function canStart(reader: SystemReader, unit: string): boolean {
  const text = unitText(reader, unit);
  if (text === undefined) return false;
  const conditions = [...text.matchAll(/^\s*Condition([A-Za-z]+)\s*=\s*(\|?)\s*(!?)\s*(\S*)/gm)].map(
    ([, kind = '', pipe, not, value = '']) => {
      const answer = isMet(reader, kind, value);
      return { isTrigger: pipe === '|', holds: answer === undefined || answer !== (not === '!') };
    },
  );
  const triggers = conditions.filter(({ isTrigger }) => isTrigger);
  return (
    conditions.every(({ isTrigger, holds }) => isTrigger || holds) &&
    (triggers.length === 0 || triggers.some(({ holds }) => holds))
  );
}

/** Returns the text of a unit file with its drop-ins; undefined if there is none, or if the unit is masked. */
export function unitText(reader: SystemReader, unit: string): string | undefined {
  const names = [...new Set([unit, unit.replace(/@[^@]*(?=\.[a-z]+$)/, '@')])];
  const file = names
    .flatMap((name) => unitDirectories.map((each) => `${each}/${name}`))
    .find((each) => unlessSystemError(() => reader.stat(each)) !== undefined);
  if (file === undefined) return undefined;
  // A masked unit is a link to /dev/null, which the reader of an image refuses.
  const text = unlessSystemError(() => reader.read(file, fileLimit)) ?? '';
  if (text === '') return undefined;
  const dropIns = names.flatMap((name) =>
    unitDirectories.flatMap((each) => {
      const folder = `${each}/${name}.d`;
      const files = unlessSystemError(() => namesIfThere(reader, folder)) ?? [];
      return files.filter((each) => each.endsWith('.conf')).map((conf) => `${folder}/${conf}`);
    }),
  );
  return [text, ...dropIns.map((each) => unlessSystemError(() => reader.read(each, fileLimit)) ?? '')].join(
    '\n',
  );
}

/** Whether a condition on a file is met; undefined if it is another condition, or cannot be examined. */
function isMet(reader: SystemReader, kind: string, value: string): boolean | undefined {
  const file = value.replace(/(.)\/+$/, '$1');
  return unlessSystemError(() => {
    switch (kind) {
      case 'PathExists':
        return reader.stat(file) !== undefined;
      case 'DirectoryNotEmpty':
        return namesIfThere(reader, file).length > 0;
      default:
        return undefined;
    }
  });
}
