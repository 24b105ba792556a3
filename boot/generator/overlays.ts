import { pathOf } from '../../agent/config/boot-keys.ts';
import { overlayRefusal } from '../../agent/config/overlay-paths.ts';
import { overlayItems } from '../guest/config.ts';
import { placeOverlay } from '../initramfs/overlay-paths.ts';
import { type Guest, addServiceBeforeMount } from './guest.ts';
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

function canGetOverlay(guest: Guest, path: string): boolean {
  if (overlayRefusal(path) !== undefined) return false;
  const { state } = placeOverlay(guest, '', guest.mountAt, path);
  return state === 'now' || state === 'deferred';
}

/** Adds a mount unit, so that units that need the path wait for the mount, and with it for the service. */
export function addOverlayMount(guest: Guest, path: string): void {
  const service = addServiceBeforeMount(guest, 'var', path);
  guest.units.wanted.push(writeFoundMount(guest.units, path, 'Before=local-fs.target'), service);
}
