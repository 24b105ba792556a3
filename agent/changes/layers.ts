import { SystemError } from '../lib/errors.ts';
import { type BootEnv, bootEnvFile } from '../facts/boot/boot-env.ts';
import { layersOf } from '../facts/boot/overlays.ts';
import { scratchDisk } from '../facts/boot/kept-paths.ts';
import { type Mount, type MountTable, isBelow, optionOf, lowersOf } from '../facts/mounts/mountinfo.ts';
import type { Observed } from '../facts/observed.ts';
import type { Disk } from '../facts/disks/disks.ts';
import { decideMode } from '../assess/mode.ts';
import type { SystemReader } from '../system/reader.ts';

/** A writable layer over a directory of the sealed disk. */
export interface WritableLayer {
  /** The mount point of the overlay. */
  target: string;
  upper: string;
  lower: string;
  metacopy: boolean;
  /** Mounts that hide the layer or a part of it. */
  problems: string[];
  /** Whether the lower layer can be reached; if not, there is nothing to compare with. */
  reachable: boolean;
}

/**
 * Lists the overlays with one lower layer that are mounted now, and those that boot.env records, because a process can
 * have unmounted an overlay. An overlay with several lower layers belongs to a container, of which the sealed disk has no
 * counterpart.
 * @param defaultMetacopy the kernel's default of the mount option metacopy
 * @param scratchDevice see `findScratchDevice`
 */
export function findLayers(
  mounts: MountTable,
  bootEnv: Observed<BootEnv | undefined>,
  defaultMetacopy: boolean,
  scratchDevice?: string,
) {
  const layers = new Map<string, WritableLayer>();
  const notes: string[] = [];
  for (const [upper, mount] of overlays(mounts)) {
    const lower = lowersOf(mount);
    const [only] = lower;
    if (lower.length === 1 && only !== undefined)
      layers.set(upper, {
        ...{ target: mount.target, upper, lower: only, metacopy: metacopyOf(mount, defaultMetacopy) },
        ...reach(mounts, upper, only),
      });
    else
      notes.push(
        `${mount.target}: not compared, because its overlay has ${lower.length} lower layers, as those of containers have; its upper layer is ${upper}`,
      );
  }
  const recorded = 'value' in bootEnv ? layersOf(bootEnv.value) : [];
  for (const { target, state, lower, upper } of recorded) {
    if (state !== 'overlay' || layers.has(upper)) continue;
    layers.set(upper, { target, upper, lower, metacopy: defaultMetacopy, ...reach(mounts, upper, lower) });
    notes.push(
      `${target}: the boot mounted an overlay here, which is not mounted now; its layer ${upper} is compared`,
    );
  }
  for (const mount of mounts.all) {
    if (mount.target === scratchDisk || mount.device !== scratchDevice) continue;
    notes.push(
      `${mount.target}: not compared, because SCRATCH has it with the option empty or copy; every file in it was written in this boot`,
    );
  }
  const sorted = [...layers.values()].sort((a, b) => (a.target < b.target ? -1 : 1));
  return {
    layers: sorted,
    /** Why it is not certain that these are all layers. */
    problems: 'error' in bootEnv ? [`${bootEnvFile}: ${bootEnv.error}`] : [],
    /** Overlays that are no layer over the sealed disk, and directories of SCRATCH without an overlay. */
    notes,
  };
}

/** Maps each upper layer to the mount of its overlay: the whole overlay rather than a bind mount of a part. */
function overlays(mounts: MountTable): Map<string, Mount> {
  const found = new Map<string, Mount>();
  for (const mount of mounts.all) {
    const upper = mount.type === 'overlay' ? optionOf(mount, 'upperdir') : undefined;
    if (upper === undefined) continue;
    const known = found.get(upper);
    if (known === undefined || (known.root !== '/' && mount.root === '/')) found.set(upper, mount);
  }
  return found;
}

function metacopyOf({ superOptions }: Mount, byDefault: boolean): boolean {
  if (superOptions.includes('metacopy=on')) return true;
  return byDefault && !superOptions.includes('metacopy=off');
}

/**
 * Finds mounts that hide a layer or a part of it, as root can make them. The walk then sees what was mounted, and not what
 * the overlay uses.
 */
function reach(
  mounts: MountTable,
  upper: string,
  lower: string,
): Pick<WritableLayer, 'problems' | 'reachable'> {
  const serving = mounts.serving(lower);
  if (serving?.type === 'overlay' && optionOf(serving, 'upperdir') === upper) {
    const problem = `${lower}: the overlay is mounted over its own lower layer and hides it, so nothing can be compared`;
    return { problems: [problem], reachable: false };
  }
  const problems = [
    ...hiddenAt(mounts, upper, (target) => target === tmpfs || !isBelow(upper, tmpfs)),
    // An upper layer cannot be a mount point, because it shares a mount with the work directory (overlayfs.rst).
    ...(mounts.at(upper).length > 0
      ? [`${upper}: a file system is mounted over the layer and hides it`]
      : []),
    ...hiddenAt(
      mounts,
      lower,
      (target) => target.startsWith(agentDirectory) || !lower.startsWith(agentDirectory),
    ),
    ...[upper, lower].flatMap((directory) => mountsInside(mounts, directory)),
  ];
  return { problems: [...new Set(problems)], reachable: true };
}

/** The tmpfs with the upper layers, and the directory with the mounts of the lower layers (boot/initramfs/layers.ts). */
const tmpfs = '/run/var';
const agentDirectory = '/run/immutafs/';

/** @param isExpected whether the boot made the mount that serves the directory, by its mount point */
function hiddenAt(mounts: MountTable, directory: string, isExpected: (target: string) => boolean): string[] {
  const target = mounts.serving(directory)?.target ?? '/';
  const isStacked = target !== '/' && mounts.at(target).length > 1;
  if (!isStacked && isExpected(target)) return [];
  return [`${directory}: the file system that is mounted at ${target} hides the layer, or may hide it`];
}

function mountsInside(mounts: MountTable, directory: string): string[] {
  const inside = mounts.all.filter(({ target }) => target !== directory && isBelow(target, directory));
  return inside.map(
    ({ target, type }) => `${target}: ${type} is mounted in a layer and hides the content of the layer`,
  );
}

/** Reads the kernel's default of metacopy; false if the module has no such parameter, as before Linux 4.19. */
export function readDefaultMetacopy(reader: SystemReader): boolean {
  return reader.readIfPresent('/sys/module/overlay/parameters/metacopy')?.trim() === 'Y';
}

/**
 * Returns the reason why there is no layer. A guest in which the package was installed after the boot has no record of the
 * boot; its disks then decide, as they do for `status`.
 *
 * @param disks reads the disks below the mounted file systems
 * @throws SystemError if the guest should have a layer
 */
export function whyNoLayer(bootEnv: Observed<BootEnv | undefined>, disks: () => Observed<Disk[]>): string {
  if ('error' in bootEnv) throw new SystemError(`${bootEnvFile}: ${bootEnv.error}`, bootEnv.code);
  const mode = bootEnv.value?.mode ?? decideMode('auto', bootEnv, disks()).mode;
  if (mode === 'maintenance' || mode === 'off') {
    const why = mode === 'off' ? 'the agent is switched off' : 'maintenance mode';
    return `No layer to compare (${why}): changes are written to the disk itself. \`rpm -Va\` compares installed packages with the package database.`;
  }
  throw new SystemError(
    bootEnv.value !== undefined
      ? 'no overlay is mounted although this boot is sealed, so nothing can be compared: see immutafs-agent status'
      : `no overlay is mounted and ${bootEnvFile} does not exist, so nothing can be compared: see immutafs-agent status`,
  );
}
