import { oldContent } from './marker-files.ts';

/** The directory of the journal, and those above it. */
const folders = ['/var/log/journal', '/var/log', '/var'];

/**
 * Whether the journal has been moved to another disk. A boot that moves data does not mount it, and journald would write to the empty
 * directory that replaces it.
 * @param reader reads the guest in a boot that mounts nothing of PERSIST
 */
export function isJournalMoved(reader: { stat: (path: string) => unknown }): boolean {
  return folders.some((folder) => reader.stat(`${folder}/${oldContent}`) !== undefined);
}
