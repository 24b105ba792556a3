import path from 'node:path';
import { overlayRefusal, resetDirectories, writableOverlays } from '../../config/overlay-paths.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { pathItems } from '../../facts/boot/kept-paths.ts';
import { decodeBytes, shortList } from '../../lib/format.ts';
import type { OpenFile } from '../engine/processes.ts';
import { when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { persistedFolders } from './persist.ts';

/** The memory of the guest and the maximum size of the upper layer of /var (VAR_SIZE), in bytes. /proc/meminfo counts in KiB. */
export function layerSize({ reader, config }: Snapshot): { memory: number; layer: number } {
  const found = /^MemTotal:\s+(\d+) kB$/m.exec(reader.read('/proc/meminfo', 65536))?.[1];
  if (found === undefined) throw new Error('/proc/meminfo has no MemTotal');
  const memory = Number(found) * 1024;
  const unit = config.VAR_SIZE.slice(-1).toLowerCase();
  const number = parseInt(config.VAR_SIZE, 10);
  const layer = unit === '%' ? Math.floor((memory * number) / 100) : number * (units[unit] ?? 1);
  return { memory, layer };
}

const units: Record<string, number> = { m: 1024 ** 2, g: 1024 ** 3 };

/** Whether a path below /var is on the system's disk, so that a sealed boot mounts an overlay over it. */
export function isLayered({ mounts, systemDisks }: Snapshot, path: string): boolean {
  const mount = mounts.serving(path);
  if (mount === undefined) return true;
  if (!isBelow(mount.target, '/var')) return isBelow(path, '/var');
  return systemDisks.holds(mount);
}

/**
 * Returns the paths of SCRATCH; none without SCRATCH_DEVICE, because they are in memory then.
 * @param having only those with one of these options
 */
export function scratchFolders({ config }: Snapshot, having?: readonly string[]): string[] {
  if (config.SCRATCH_DEVICE === '') return [];
  return pathItems(config.SCRATCH)
    .filter(({ options }) => having === undefined || options.some((each) => having.includes(each)))
    .map(({ path }) => path);
}

/**
 * Returns the files that are open for writing and that a write copies into memory: those on the system disk, below /var or a path
 * of OVERLAY, and not below a path of SCRATCH or PERSIST.
 * @param overlaid the paths of OVERLAY
 */
export function copiedFiles(look: Snapshot, overlaid: readonly string[] = []): OpenFile[] {
  const elsewhere = [...scratchFolders(look), ...persistedFolders(look.config)];
  return look
    .openFiles(['/var', ...overlaid])
    .filter(({ path }) => !elsewhere.some((folder) => isBelow(path, folder)))
    .filter(({ path }) => {
      const shown = decodeBytes(path);
      return isBelow(path, '/var')
        ? isLayered(look, shown)
        : look.systemDisks.holds(look.mounts.serving(shown));
    });
}

export function isReset({ config }: Snapshot, path: string): boolean {
  return resetDirectories(config).some((directory) => isBelow(path, directory));
}

/** Returns /var and the file systems mounted below it, as far as a sealed boot mounts an overlay over them. */
export function layeredRoots(look: Snapshot): string[] {
  const { all, hidden } = look.mounts;
  const below = all.filter(
    (mount) => isBelow(mount.target, '/var') && mount.type !== 'overlay' && !hidden.has(mount),
  );
  const roots = new Set(['/var', ...below.map(({ target }) => target)]);
  return [...roots].filter((root) => isLayered(look, root));
}

/** What a sealed boot would do with the paths of OVERLAY. */
interface PlannedOverlays {
  targets: string[];
  /** The paths that get none, although one is needed, each with the solution. */
  problems: string[];
  /** The paths that need none. */
  notes: string[];
}

/** Predicts the outcome of each path of OVERLAY, as boot/initramfs/overlays.ts decides it. */
export function planOverlays(look: Snapshot): PlannedOverlays {
  const planned: PlannedOverlays = { targets: [], problems: [], notes: [] };
  for (const target of writableOverlays(look.config)) {
    const problem = problemOf(look, target);
    const note = problem === undefined ? reasonNotNeeded(look, target) : undefined;
    if (problem !== undefined) planned.problems.push(`OVERLAY: ${target} ${problem}.`);
    else if (note === undefined) planned.targets.push(target);
    else planned.notes.push(`OVERLAY: ${target} needs no overlay: ${note}. Remove it.`);
  }
  return planned;
}

function problemOf({ reader, fstab }: Snapshot, target: string): string | undefined {
  const refusal = overlayRefusal(target);
  if (refusal !== undefined) return `is refused: ${refusal}`;
  const folders = foldersTo(target);
  const link = folders.find((folder) => reader.stat(folder)?.kind === 'link');
  if (link !== undefined) {
    const which = link === target ? 'is' : `leads through ${link}, which is`;
    return `${which} a symbolic link: name the directory that it points to`;
  }
  const line = fstab.lines.findLast((each) => each.target === target);
  if (line?.options.some((option) => option === 'bind' || option === 'rbind') === true) {
    return `is a bind mount in /etc/fstab: name the directory ${line.source}`;
  }
  const kind = reader.stat(target)?.kind;
  if (kind === undefined) return 'does not exist: create it, or remove it from OVERLAY';
  return kind === 'directory' ? undefined : 'is not a directory: name the directory that contains it';
}

/** Returns the path and the folders above it, the uppermost first. */
function foldersTo(target: string): string[] {
  return target === '/' ? [] : [...foldersTo(path.dirname(target)), target];
}

/** An overlay is needed only on the disks that the host will make read-only. */
function reasonNotNeeded({ mounts, systemDisks }: Snapshot, target: string): string | undefined {
  const mount = mounts.serving(target);
  if (mount === undefined || mount.target === '/' || systemDisks.holds(mount)) return undefined;
  return `${mount.target} (${mount.type}) is not on a disk that the host makes read-only`;
}

export function describeOverlays({ targets, notes }: PlannedOverlays): string[] {
  const list = shortList(targets, ' ', 5);
  return [...when(targets.length > 0, `Also writable in RAM in a sealed boot: ${list}.`), ...notes];
}
