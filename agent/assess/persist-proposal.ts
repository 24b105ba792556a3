import { type Config, words } from '../config/config.ts';
import { pathItems } from '../facts/boot/kept-paths.ts';
import { isBelow } from '../facts/mounts/mountinfo.ts';
import { persistItemOf } from '../facts/security/persist-item.ts';
import { directoryOfStore } from './scratch-proposal.ts';

/**
 * Proposes PERSIST for the directories of container engines. Not in scratch-proposal.ts, because the table of services,
 * which it needs, takes long to load, and a `status` without an overlay on /var does not need the table.
 * @param stores some of `containerStores`
 * @returns the complete line for immutafs.conf; undefined without stores
 */
export function proposePersist(
  { PERSIST }: Pick<Config, 'PERSIST'>,
  stores: readonly string[],
): string | undefined {
  if (stores.length === 0) return undefined;
  const isKept = (directory: string) => pathItems(PERSIST).some(({ path }) => isBelow(directory, path));
  const added = stores.map(directoryOfStore).filter((directory) => !isKept(directory));
  return `PERSIST=${[...words(PERSIST), ...added.map(persistItemOf)].join(' ')}`;
}
