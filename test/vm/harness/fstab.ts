import { devicePath, volumeUuid } from './layout.ts';
import type { Layout, Volume } from './layout.ts';

/**
 * Returns the fstab of a guest with a layout.
 *
 * A prepared fstab mounts `/` and `/boot` `ro`, /home, /tmp and /dev/shm `noexec,nosuid,nodev`, and has no boot-time checks.
 */
export function fstab(layout: Layout): string {
  const prepared = layout.fstab === 'prepared';
  const [root, ...below] = layout.system.map(asInstalled);
  const [boot, home] = [asInstalled(layout.boot), layout.home && asInstalled(layout.home)];
  if (!root) throw new Error('the layout has no root volume');
  return [
    line(devicePath(layout, root), root),
    line(`UUID=${volumeUuid(boot)}`, boot),
    ...below.map((volume) => line(devicePath(layout, volume), volume)),
    ...(home ? [line(`UUID=${volumeUuid(home)}`, home)] : []),
    ...(prepared
      ? [
          'tmpfs /tmp tmpfs defaults,noexec,nosuid,nodev,mode=1777 0 0\n',
          'tmpfs /dev/shm tmpfs defaults,noexec,nosuid,nodev 0 0\n',
        ]
      : []),
  ].join('');

  function asInstalled({ options, ...volume }: Volume): Volume {
    return prepared && options !== undefined ? { ...volume, options } : volume;
  }
}

function line(device: string, { target, filesystem, options = 'defaults' }: Volume): string {
  return `${device} ${target === 'swap' ? 'none' : target} ${filesystem} ${options} 0 0\n`;
}
