import { type Config, words } from '../config/config.ts';
import { keys, pathOf } from '../config/keys.ts';
import { pathItems } from '../facts/boot/kept-paths.ts';
import { isBelow } from '../facts/mounts/mountinfo.ts';

/** The stores of container engines. They do not work on an overlay, and programs run there on mounts of their own. */
export const containerStores: readonly string[] = [
  '/var/lib/docker',
  '/var/lib/containers/storage',
  '/var/lib/containerd',
  '/var/lib/lxc',
  '/var/lib/machines',
];

/** The directory of each container engine, such as /var/lib/containers for /var/lib/containers/storage. */
export const containerDirectories: readonly string[] = containerStores.map(directoryOfStore);

export function directoryOfStore(store: string): string {
  return store.split('/', 4).join('/');
}

/** A directory for a cache or for builds, which programs fill again. */
const refillable = /^\/var\/(?:cache|lib\/mock|lib\/jenkins\/workspace)\/[^/]+/;

/**
 * Proposes SCRATCH for the container stores, caches and directories for builds in which files are.
 * @param paths files or directories
 * @returns the complete line for immutafs.conf; undefined if there is nothing to add
 */
export function proposeScratch(
  { SCRATCH, PERSIST, OVERLAY }: Pick<Config, 'SCRATCH' | 'PERSIST' | 'OVERLAY'>,
  paths: readonly string[],
): string | undefined {
  // A store that is named without these options is an overlay.
  const isUnusable = ({ path, options }: { path: string; options: string[] }) =>
    containerStores.includes(path) && !options.includes('empty') && !options.includes('copy');
  const taken = [
    ...pathItems(SCRATCH).filter((item) => !isUnusable(item)),
    ...[PERSIST, OVERLAY].flatMap(pathItems),
  ];
  // A boot refuses a path of SCRATCH that contains or is below another configured path.
  const isFree = (directory: string) =>
    !taken.some(({ path }) => isBelow(directory, path) || isBelow(path, directory));
  const stores = containerStores.filter(
    (store) => paths.some((path) => isBelow(path, directoryOfStore(store))) && isFree(store),
  );
  const others = paths
    .flatMap((path) => refillable.exec(path)?.[0] ?? [])
    .filter((directory) => keys.SCRATCH.good(directory) && isFree(directory));
  const added = [...stores.map((store) => `${store}:empty,exec,suid,dev`), ...new Set(others)];
  const kept = words(SCRATCH).filter((item) => !stores.includes(pathOf(item)));
  return added.length === 0 ? undefined : `SCRATCH=${[...kept, ...added].join(' ')}`;
}
