import { once } from '../lib/cached.ts';
import { persistItems } from '../facts/boot/kept-paths.ts';
import { type Mount, isBelow } from '../facts/mounts/mountinfo.ts';
import { startPlaces } from '../facts/security/places.ts';
import { volatile } from './mount-origin.ts';
import { type MountSources, type PermittedMounts, permittedMounts, usualPlaces } from './permitted-mounts.ts';

/** A mount inside a layer or over files of the sealed disk that no configuration of the sealed disk explains. */
export interface UnexplainedMount {
  mount: Mount;
  /** Whether programs start from the mount point or from a directory below it. */
  startsPrograms: boolean;
}

/**
 * Finds mounts over /etc, /usr, /opt and /root, and inside the layers and of the paths of PERSIST, that neither fstab,
 * a mount unit of the system disk nor the boot made. Their files are in no layer, so `changes` does not see them. Omits
 * mounts outside the places from which programs start if they show files that are sealed or in a layer, or belong to a
 * program that mounts file systems there, such as a container engine. Those from which programs start come first.
 */
export function findUnexplainedMounts(
  sources: MountSources,
  permitted: PermittedMounts = permittedMounts(sources),
): UnexplainedMount[] {
  const { mounts, overlays, config } = sources;
  const isOverlay = ({ target }: { target: string }) => mounts.serving(target)?.type === 'overlay';
  const layers = sources.layers.filter(isOverlay).map(({ target }) => target);
  const others = overlays.filter(isOverlay).map(({ target }) => target);
  const inside = [...layers, ...others, ...persistItems(config).map((item) => item.path)];
  const found = mounts.all.flatMap((mount) => {
    const { target } = mount;
    const isOver = systemDirectories.some((directory) => isBelow(target, directory)) && !isOwnDisk(mount);
    if (!isOver && !inside.some((each) => target !== each && isBelow(target, each))) return [];
    if (mounts.hidden.has(mount) || permitted.reasonFor(mount, 'start') !== undefined) return [];
    const startsPrograms =
      isOver ||
      others.some((each) => isBelow(target, each) && !isBelow(target, '/var')) ||
      placesInVar().some((place) => isBelow(target, place) || isBelow(place, target));
    return startsPrograms || permitted.reasonFor(mount, 'layer') === undefined
      ? [{ mount, startsPrograms }]
      : [];
  });
  return found.toSorted((a, b) => Number(b.startsPrograms) - Number(a.startsPrograms));
}

/** Directories of the sealed disk from which programs start, or that configure them. */
const systemDirectories = ['/etc', '/usr', '/opt', '/root'];
/** Whether a mount is /etc or /usr on a disk, about which mounts-genuine and stacked-mounts decide. */
function isOwnDisk({ target, type }: Mount): boolean {
  return ['/etc', '/usr'].includes(target) && !volatile.test(type);
}

/** Places in /var from which programs start by themselves. */
const placesInVar = once(() =>
  startPlaces()
    .filter(
      ({ path, category }) =>
        category !== undefined && path.startsWith('/var/') && !usualPlaces.includes(path),
    )
    .map(({ path }) => path),
);
