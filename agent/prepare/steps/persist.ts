import type { Config } from '../../config/config.ts';
import { persistItems } from '../../facts/boot/kept-paths.ts';
import type { MountTable } from '../../facts/mounts/mountinfo.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { PlaceInStore } from '../move/record.ts';
import type { Snapshot } from '../engine/snapshot.ts';

/** The program of the boot. */
const persistProgram = '/usr/libexec/immutafs/immutafs-boot';
/** The limit for one path, in milliseconds. */
const limit = 5000;

/** Returns the paths of PERSIST; none without PERSIST_STORE, because a boot does not keep them then. */
export function persistedFolders(config: Pick<Config, 'PERSIST' | 'PERSIST_STORE'>): string[] {
  return config.PERSIST_STORE === '' ? [] : persistItems(config).map(({ path }) => path);
}

/**
 * Returns a sentence for each path of PERSIST that a boot would not keep, with what to do. The boot decides; with
 * persist-check, it changes nothing.
 */
export async function findUnkeptPaths({ reader, config }: Snapshot): Promise<string[]> {
  const found: string[] = [];
  for (const { path } of persistItems(config)) {
    const reason = await whyNotKept(reader, path);
    if (reason !== undefined) found.push(`${path} of PERSIST ${reason}`);
  }
  return found;
}

/**
 * Returns why a boot would not keep a path, with what to do: the rest of a sentence that begins with the path.
 * @param options the options of the path; undefined: those in PERSIST
 * @returns undefined if a boot would keep the path
 */
export async function whyNotKept(
  reader: SystemReader,
  path: string,
  options?: string,
): Promise<string | undefined> {
  const args = ['persist-check', path, ...(options === undefined ? [] : [options])];
  const { stdout, ended } = await reader.run(persistProgram, args, limit);
  if (ended === 'good') return undefined;
  const [, reason, remedy] = /^REASON=(.*)\nREMEDY=(.*)\n$/.exec(decodeBytes(stdout)) ?? [];
  return reason === undefined || remedy === undefined
    ? `could not be checked: run \`${[persistProgram, ...args].join(' ')}\`.`
    : `would not be kept: ${reason}. ${remedy}`;
}

/** Whether the directory of the store is mounted on its path. */
export function isKept(mounts: MountTable, { path, final }: PlaceInStore): boolean {
  const mount = mounts.serving(path);
  const store = mounts.serving(final);
  return (
    mount?.target === path &&
    mount.device === store?.device &&
    mount.root === `${store.root}/${final.slice(store.target.length)}`.replace(/\/{2,}/g, '/')
  );
}
