import type { BootEnv } from './boot-env.ts';
import { type LayerDirectories, directoriesOf, rootView } from './layer-paths.ts';
import path from 'node:path';
import type { Config } from '../../config/config.ts';
import { type OverlayPath, overlayPaths } from '../../config/overlay-paths.ts';
import type { Mount, MountTable } from '../mounts/mountinfo.ts';

/** The directories of the overlay that the boot mounts on a target, and the state that boot.env records. */
export interface Layer extends LayerDirectories {
  target: string;
  /** `overlay`, `failed`, `begun` or another state in boot.env; empty if boot.env does not exist. */
  state: string;
}

/**
 * Lists the overlays that boot.env records: the one on /var first, then those on the targets below /var. If boot.env
 * has several lines for a target, the last line takes effect.
 * @param bootEnv undefined if boot.env does not exist; /var is then listed with an empty state
 */
export function layersOf(bootEnv: BootEnv | undefined): Layer[] {
  const states = new Map([['/var', bootEnv?.var ?? '']]);
  for (const line of bootEnv?.layers ?? []) {
    const [, target = '', state = ''] = /^(\/.*) (\S+)$/.exec(line) ?? [];
    if (target !== '') states.set(target, state);
  }
  return [...states].map(([target, state]) => ({ target, state, ...directoriesOf(target) }));
}

/** A path of OVERLAY, with the directories of its overlay. */
export interface Overlay extends OverlayPath {
  upper: string;
  work: string;
  /**
   * The lower layer of the overlay at the target; undefined if there is no overlay, or if its lower layer is not one that
   * the boot uses.
   */
  lower: OverlayLower | undefined;
}

interface OverlayLower {
  /** The lowerdir of the overlay. */
  directory: string;
  /** The mount point in /run/immutafs of the file system with the lower layer: `directory` itself or a directory above it. */
  view: string;
  /** The directory that `view` shows: / or the mount point of the file system. */
  shows: string;
}

export function overlaysOf(config: Config, mounts: MountTable): Overlay[] {
  return overlayPaths(config).map((item) => {
    const { upper, work } = directoriesOf(item.target);
    return { ...item, upper, work, lower: lowerOf(item.target, mountAt(mounts, item.target)) };
  });
}

/** Returns the overlay that serves a path as a mount point. */
export function overlayAt(mounts: MountTable, target: string): Mount | undefined {
  const mount = mountAt(mounts, target);
  return mount?.type === 'overlay' ? mount : undefined;
}

function mountAt(mounts: MountTable, target: string): Mount | undefined {
  const mount = mounts.serving(target);
  return mount?.target === target ? mount : undefined;
}

/** Finds out which of the possible lower layers of boot/initramfs/overlays.ts an overlay has. */
function lowerOf(target: string, mount: Mount | undefined): OverlayLower | undefined {
  if (mount?.type !== 'overlay') return undefined;
  return possibleLowers(target).find(({ directory }) => mount.superOptions.includes(`lowerdir=${directory}`));
}

/** The lower layer is on the root file system or on one that is mounted at the target or at a directory above it. */
function possibleLowers(target: string): OverlayLower[] {
  const above = [target];
  while (above[0] !== undefined && path.dirname(above[0]) !== '/') above.unshift(path.dirname(above[0]));
  return [
    { directory: `${rootView}${target}`, view: rootView, shows: '/' },
    ...above.map((shows) => {
      const view = directoriesOf(shows).lower;
      return { directory: `${view}${target.slice(shows.length)}`, view, shows };
    }),
  ];
}
