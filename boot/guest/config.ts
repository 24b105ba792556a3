import { type BootKey, agentKeys, bootKeys, strictItems, words } from '../../agent/config/boot-keys.ts';
import {
  type Aids,
  type Lines,
  formatProblem,
  ignored,
  maximumBytes,
  parseLines,
} from '../../agent/config/parse.ts';
import { SystemError } from '../../agent/lib/errors.ts';
import { parentOf } from '../../agent/lib/paths.ts';
import { type BootReader, isDirectory, isRegular } from '../native/reader.ts';

type Key = BootKey | (typeof agentKeys)[number];

export interface BootConfig {
  /** The values, one character per byte. Those of agentKeys are not verified, and are empty by default. */
  values: Record<Key, string>;
  warnings: string[];
}

const unverified = { initial: '', wanted: '', good: () => true };
const rules = {
  ...bootKeys,
  ...(Object.fromEntries(agentKeys.map((key) => [key, unverified])) as Record<
    (typeof agentKeys)[number],
    typeof unverified
  >),
};
const aids: Aids = {
  decode: (bytes) => bytes,
  key: () => ({ hint: '' }),
  line: () => ({ hint: '' }),
  value: () => '',
};

/** Reads immutafs.conf. Returns the defaults, with a warning, if the file cannot be used, and without one if there is none. */
export function readConfig(reader: BootReader, file: string): BootConfig {
  const { values, problems } = readLines(reader, file);
  return { values, warnings: problems.map(formatProblem) };
}

function readLines(reader: BootReader, file: string): Lines<Key> {
  const unreadable = () => ignored<Key>(rules, 'not a readable file');
  try {
    const status = reader.status(file);
    if (status === undefined) return isAbsent(reader, file) ? parseLines('', rules, aids) : unreadable();
    return isRegular(status)
      ? parseLines(reader.readAt(file, maximumBytes + 1, 0), rules, aids)
      : unreadable();
  } catch (error) {
    if (error instanceof SystemError) return unreadable();
    throw error;
  }
}

/** Whether there is no file, and not a link that leads nowhere, or something else in place of its directory. */
function isAbsent(reader: BootReader, file: string): boolean {
  const directory = parentOf(file);
  if (reader.stat(file) !== undefined) return false;
  return reader.stat(directory) === undefined || isDirectory(reader.status(directory));
}

/** Returns the items of OVERLAY. SEED=host adds /etc (agent/config/overlay-paths.ts). */
export function overlayItems({ OVERLAY, SEED }: Pick<BootConfig['values'], 'OVERLAY' | 'SEED'>): string[] {
  const items = words(OVERLAY);
  const isNamed = items.some((item) => item === '/etc' || item.startsWith('/etc:'));
  return SEED === 'host' && !isNamed ? [...items, '/etc'] : items;
}

/** Returns the items of MOUNT_OPTIONS, with the item `strict` expanded. */
export function mountOptionItems({ MOUNT_OPTIONS }: Pick<BootConfig['values'], 'MOUNT_OPTIONS'>): string[] {
  const items = words(MOUNT_OPTIONS);
  const others = items.filter((item) => item !== 'strict');
  return others.length === items.length ? items : [...strictItems, ...others];
}
