import { pathOf } from '../../agent/config/boot-keys.ts';
import { overlayRefusal } from '../../agent/config/overlay-paths.ts';
import { overlayItems } from '../config.ts';
import { type FstabLine, hasOption, isAutomount } from '../fstab.ts';
import { escapePath } from '../unit-names.ts';
import { type Guest, addServiceBeforeMount, isMasked } from './guest.ts';
import { keepAtShutdown, writeFoundMount } from './unit-files.ts';

/**
 * Keeps the overlays that the initramfs mounted at shutdown and in a soft reboot, as it keeps /var.
 * @returns the other paths that can get an overlay
 */
export function keepOrDeferOverlays(guest: Guest): Set<string> {
  const late = new Set<string>();
  const items = overlayItems(guest.config);
  if (items.length === 0) return late;
  const { overlays } = guest.state;
  for (const path of items.map(pathOf)) {
    const states = overlays.filter((record) => record.path === path).map(({ state }) => state);
    // Without a record of the initramfs, its hook did not run, or it is the hook of an earlier version.
    const isLate =
      states.length === 0
        ? canGetOverlay(guest, path)
        : states.some((state) => state === 'deferred' || state === 'begun');
    if (isLate) late.add(path);
  }
  // Late boot appends further records of a path.
  const first = overlays.filter(
    ({ path }, index) => overlays.findIndex((record) => record.path === path) === index,
  );
  for (const { path, state } of first)
    if (state === 'overlay' && guest.mountAt(path)?.type === 'overlay') keepAtShutdown(guest.units, path);
  if (guest.mountAt('/run/immutafs/root') !== undefined) keepAtShutdown(guest.units, '/run/immutafs/root');
  return late;
}

/**
 * Whether a path can get an overlay, according to what is mounted on it and on the directories above it (place_overlay in
 * boot/overlay-paths.sh, which also has the reasons).
 */
function canGetOverlay({ reader, fstab, mountAt }: Guest, path: string): boolean {
  if (overlayRefusal(path) !== undefined) return false;
  for (let above = path; above !== ''; above = above.slice(0, above.lastIndexOf('/'))) {
    const line = fstab.findLast(({ target }) => target === above);
    if (line !== undefined) return canBeLowerLayer(line);
    if (mountAt(above) !== undefined) return true;
    const name = escapePath(above);
    const unit = `/etc/systemd/system/${name}.mount`;
    if (reader.stat(unit) !== undefined) {
      if (!isMasked(reader, unit)) return false;
    } else if (
      ['/usr/lib/systemd/system', '/etc/systemd/system'].some((folder) =>
        isLink(reader.stat(`${folder}/local-fs.target.wants/${name}.mount`)),
      )
    ) {
      return false;
    }
  }
  return true;
}

function isLink(mode: unknown): boolean {
  return typeof mode === 'number' && (mode & 0o170000) === 0o120000;
}

/** Late boot must not wait for the network, which starts after it. */
function canBeLowerLayer(line: FstabLine): boolean {
  if (line.type === 'tmpfs' || line.type === 'ramfs') return false;
  if (hasOption(line, 'bind', 'rbind', '_netdev') || !line.isDevice) return false;
  return isAutomount(line) || !hasOption(line, 'noauto');
}

/** Adds a mount unit, so that units that need the path wait for the mount, and with it for the service. */
export function addOverlayMount(guest: Guest, path: string): void {
  const service = addServiceBeforeMount(guest, 'var', path);
  guest.units.wanted.push(writeFoundMount(guest.units, path, 'Before=local-fs.target'), service);
}
