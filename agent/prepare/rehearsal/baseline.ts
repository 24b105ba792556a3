import type { SystemReader } from '../../system/reader.ts';
import type { JournalWatch } from './journal-watch.ts';
import { folderFinder } from './nearest-folder.ts';
import type { Baseline } from './record.ts';
import { readUnits } from './units.ts';

/** The time after which the rest of a large journal is left out of the baseline, in milliseconds. */
const journalLimit = 60_000;
/** The time after which a request fails because the states of the units are not known, in milliseconds. */
const unitsLimit = 90_000;

/** Reads the baseline. @throws SystemError if the units cannot be read */
export async function readBaseline(
  reader: SystemReader,
  bootId: string,
  journal: JournalWatch,
): Promise<Baseline> {
  const units = await readUnits(reader, unitsLimit);
  await journal.readBoot(bootId.replaceAll('-', ''), journalLimit);
  const folderOf = folderFinder(reader);
  const refused = journal.refusals.map(({ unit, path: file }) => refusalKey(unit, file, folderOf));
  return { failed: [...units.failed.keys()], skipped: [...units.skipped], refused: [...new Set(refused)] };
}

/** Identifies a refused write in a baseline. */
export function refusalKey(
  unit: string,
  filePath: string | null,
  folderOf: (path: string) => string,
): string {
  return `${unit} ${filePath === null ? '' : folderOf(filePath)}`;
}
